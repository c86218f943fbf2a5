"""A kernel that is the same in every session: where its time changes, the device has changed."""

from __future__ import annotations

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.cpu.plain import pointwise
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.search.kernel_task import KernelTask, kernel_task

_SHAPE = (1, 32, 32, 64)
_CHANNELS = 64


def reference_task() -> KernelTask:
    """Four million multiply-accumulates in float32, within the level 2 cache of any core."""
    kernel = create_pointwise(
        _SHAPE, _CHANNELS, "float32", "float32", ConvEpilogue(EpilogueKind.BIAS)
    )
    return kernel_task("reference", pointwise.FAMILY.name, kernel, inputs=3)
