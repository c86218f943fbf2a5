"""A 1x1 convolution on a GPU that reads its weights from an image."""

from __future__ import annotations

import numpy as np
import tvm
from kernel_runner import GPU_SPEC
from numpy.typing import NDArray
from tvm import s_tir

from compile.codegen.opencl.kernel_sources import kernel_sources
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.window import Window
from compile.kernels.gpu import gpu_convolution
from compile.kernels.gpu.dp4a_conv import create_dp4a_conv
from compile.kernels.gpu.gpu_core import GpuCore
from targets.describe_target import tvm_target

UNIT = GpuCore(64, 64, image_weights=True)


REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)


POINTWISE = Window((1, 1), (1, 1), (0, 0, 0, 0))


def scheduled(kernel: tvm.tirx.PrimFunc, core: GpuCore = UNIT) -> tvm.IRModule:
    mod = tvm.IRModule({"main": kernel.with_attr("global_symbol", "main")})
    schedule = s_tir.Schedule(mod)
    gpu_convolution.schedule(schedule, core)
    return schedule.mod


class Convolution:
    """1x1 from one word of channels to ``channels``, its weights in an image."""

    def __init__(self, device: tvm.runtime.Device, channels: int) -> None:
        mod = scheduled(create_dp4a_conv((1, 2, 4, 4), channels, POINTWISE, REQUANTIZE))
        with kernel_sources(GPU_SPEC) as pipeline:
            library = tvm.compile(mod, target=tvm_target(GPU_SPEC), tir_pipeline=pipeline)
        assert "image2d_t weight_ptr" in library.mod.imports[0].inspect_source()
        self.kernel = library["main"]
        self.data = np.arange(32, dtype=np.int8).reshape(1, 2, 4, 4)
        ones, quant = np.ones(channels, np.float32), np.array([0, 0, -128, 127], np.int32)
        constants = np.zeros(channels, np.int32), ones, quant
        self.operands = [tvm.runtime.tensor(array, device) for array in constants]
        self.input = tvm.runtime.tensor(self.data, device)
        self.out = tvm.runtime.tensor(np.zeros((1, 2, 4, channels), np.int8), device)

    def __call__(self, weight: tvm.runtime.Tensor) -> NDArray[np.int8]:
        self.kernel(self.input, weight, *self.operands, self.out)
        return self.out.numpy()

    def expected(self, weight: NDArray[np.int8]) -> NDArray[np.int64]:
        """Of OIHW ``weight``."""
        sums = self.data.astype(np.int64) @ weight[:, :, 0, 0].T.astype(np.int64)
        return np.clip(sums, -128, 127)


def draw_weight(channels: int, seed: int) -> NDArray[np.int8]:
    shape = channels, 4, 1, 1
    return np.random.default_rng(seed).integers(-1, 2, shape, dtype=np.int8)
