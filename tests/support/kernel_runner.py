"""Builds one kernel with its default schedule for this machine, or for its OpenCL device, and
calls it with NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import tirx

from compile.codegen.opencl.kernel_sources import kernel_sources
from compile.kernels.common.core_model import CpuCore
from compile.kernels.gpu.gpu_core import GpuCore
from compile.passes.apply_default_schedule import apply_default_schedule
from device.runtime.run_artefact import use_threads
from targets.describe_target import tvm_target
from targets.load_target import load_target

#: Whatever this machine has: LLVM takes vectors apart that are wider than its registers.
UNITS = (CpuCore(256, 16, 1), CpuCore(512, 32, 2), CpuCore(128, 32, 2))

#: The GPU that kernels are run on.
GPU_SPEC = load_target("host-opencl")


@cache
def built_kernel(
    core: CpuCore | GpuCore, create: Callable[..., tirx.PrimFunc], *args: Any
) -> Callable[..., NDArray]:
    """``create(*args)`` scheduled for ``core``: a function from its inputs to its output."""
    # Made here, for this unit alone: a schedule may change the body that its function shares.
    function = create(*args).with_attr("global_symbol", "kernel")
    scheduled = apply_default_schedule(core)(tvm.IRModule({"kernel": function}))
    on_gpu = isinstance(core, GpuCore)
    spec = GPU_SPEC if on_gpu else load_target("host")
    threads = 1 if on_gpu else core.threads
    with kernel_sources(spec) as pipeline:
        library = tvm.compile(scheduled, target=tvm_target(spec, threads), tir_pipeline=pipeline)
    device = tvm.opencl(0) if on_gpu else tvm.cpu()
    result = function.params[-1].ty
    shape, dtype = [int(extent) for extent in result.shape], str(result.dtype.dtype)

    def run(*inputs: NDArray) -> NDArray:
        use_threads(threads)
        # Not zeros: an element that the kernel forgets must not be right by chance.
        out = tvm.runtime.tensor(np.full(shape, 85, dtype), device)
        library["kernel"](*(tvm.runtime.tensor(array, device) for array in inputs), out)
        return out.numpy()

    return run
