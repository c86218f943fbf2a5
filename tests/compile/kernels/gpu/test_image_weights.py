"""Weights in images: which kernels have them, and what the runtime makes of a buffer."""

from __future__ import annotations

import gc
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import tvm
from image_convolution import POINTWISE, REQUANTIZE, UNIT, Convolution, draw_weight, scheduled
from kernel_runner import GPU_SPEC
from opencl_kernels import IMAGE_SUPPORT, in_new_process, library_without
from tvm import s_tir

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.cpu.plain import pointwise
from compile.kernels.gpu.dp4a_concat_pointwise import create_dp4a_concat_pointwise
from compile.kernels.gpu.dp4a_conv import create_dp4a_conv, pack_int8x4
from compile.kernels.gpu.image_weights import image_operands
from targets.describe_target import tvm_target


def test_both_weights_of_a_concat() -> None:
    kernel = create_dp4a_concat_pointwise((1, 3, 4, 8), 16, 2, 16, REQUANTIZE)
    assert image_operands(scheduled(kernel)) == {"main": {"low_weight", "high_weight"}}
    assert image_operands(scheduled(kernel, replace(UNIT, image_weights=False))) == {}


def test_other_weights_stay_in_buffers() -> None:
    """Those of floats, and channels that fill no vector of four."""
    bias = ConvEpilogue(EpilogueKind.BIAS)
    floats = pointwise.create_pointwise((1, 4, 4, 8), 8, "float32", "float32", bias)
    odd = create_dp4a_conv((1, 4, 4, 8), 6, POINTWISE, REQUANTIZE)
    assert [image_operands(scheduled(kernel)) for kernel in (floats, odd)] == [{}, {}]


# Pixels of four words: part of a row of 256, whole rows, and rows with a rest.
@pytest.mark.parametrize("channels", [4, 1020, 1024, 2048, 3000])
def test_an_image_has_what_the_buffer_has(opencl: tvm.runtime.Device, channels: int) -> None:
    convolution = Convolution(opencl, channels)
    weight = draw_weight(channels, 0)
    found = convolution(tvm.runtime.tensor(pack_int8x4(weight), opencl))
    np.testing.assert_array_equal(found, convolution.expected(weight))


def test_an_image_follows_its_buffer(opencl: tvm.runtime.Device) -> None:
    """Written from the host, from another buffer, and by a kernel."""
    convolution = Convolution(opencl, 8)
    weights = [draw_weight(8, seed) for seed in range(4)]
    first, second, third, fourth = (pack_int8x4(weight) for weight in weights)
    on_device = tvm.runtime.tensor(first, opencl)
    np.testing.assert_array_equal(convolution(on_device), convolution.expected(weights[0]))
    on_device.copyfrom(second)
    np.testing.assert_array_equal(convolution(on_device), convolution.expected(weights[1]))
    on_device.copyfrom(tvm.runtime.tensor(third, opencl))
    np.testing.assert_array_equal(convolution(on_device), convolution.expected(weights[2]))
    copy = copy_kernel(fourth.shape)
    copy(tvm.runtime.tensor(fourth, opencl), on_device)
    np.testing.assert_array_equal(convolution(on_device), convolution.expected(weights[3]))


def copy_kernel(shape: tuple[int, ...]):
    source = tvm.te.placeholder(shape, "int32", "source")
    copied = tvm.te.compute(shape, lambda *index: source(*index), "copied")
    schedule = s_tir.Schedule(tvm.te.create_prim_func([source, copied]))
    loops = schedule.get_loops(schedule.get_sblock("copied"))
    schedule.bind(schedule.fuse(*loops), "threadIdx.x")
    return tvm.compile(schedule.mod, target=tvm_target(GPU_SPEC))["main"]


def test_images_go_with_their_buffers(opencl: tvm.runtime.Device) -> None:
    convolution = Convolution(opencl, 1024)
    weight = pack_int8x4(draw_weight(1024, 0))
    process = psutil.Process()

    def runs(count: int) -> int:
        for _ in range(count):
            convolution(tvm.runtime.tensor(weight, opencl))
        gc.collect()
        return process.memory_info().rss

    # 16 kB each: a thousand that stay would be four times as much.
    assert runs(1000) - runs(100) < 4 << 20


def test_a_device_without_images(opencl: tvm.runtime.Device, tmp_path: Path) -> None:
    """One sentence, and the process goes on."""
    said = in_new_process(
        """
from opencl_kernels import add_module, check_add
from image_convolution import Convolution, draw_weight
from compile.kernels.gpu.dp4a_conv import pack_int8x4
device = tvm.opencl(0)
try:
    Convolution(device, 8)(tvm.runtime.tensor(pack_int8x4(draw_weight(8, 0)), device))
except RuntimeError as error:
    print(error)
check_add(device, add_module())
""",
        MQNET_OPENCL_LIBRARY=library_without(IMAGE_SUPPORT, tmp_path),
    )
    assert re.search(r"has images of up to 0 rows, .* take 1: .* tune it on this device", said)
