"""The kernel families whose loops can be cut in more than one way, for the tuner.

Each is a module with a frozen dataclass ``Choice`` of whole numbers, ``choices(sch, unit)``, all of
them that can be scheduled, ``builtin_choice(sch, unit)``, and ``schedule(sch, unit, choice)``. So a
candidate is a choice, and what is recorded of it is the trace of its schedule.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from tvm import s_tir, tirx

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import FAMILY_ATTR
from compile.kernels.cpu.int8 import (
    int8_concat_pointwise,
    int8_conv,
    int8_depthwise,
    int8_pointwise,
    matrix_pointwise,
)
from compile.kernels.cpu.inverted_residual import inverted_residual
from compile.kernels.cpu.plain import depthwise, elementwise, pointwise, spatial_conv
from compile.kernels.cpu.planar import planar_conv, planar_pointwise
from compile.kernels.gpu.gpu_core import GpuCore
from compile.kernels.gpu.gpu_spaces import GPU_SPACES

#: By family.
SPACES: dict[str, ModuleType] = {
    space.FAMILY: space
    for space in (
        int8_pointwise,
        int8_concat_pointwise,
        matrix_pointwise,
        int8_conv,
        int8_depthwise,
        inverted_residual,
        planar_conv,
        planar_pointwise,
        pointwise,
        spatial_conv,
        depthwise,
        elementwise,
    )
}


#: All that have a ``Choice``, of cores and GPUs.
ALL_SPACES: list[ModuleType] = list(
    {id(s): s for s in (*SPACES.values(), *GPU_SPACES.values())}.values()
)


def spaces_for(core: CpuCore | GpuCore) -> dict[str, ModuleType]:
    """By family, what schedules kernels for ``core``: a GPU cuts the same families otherwise."""
    return GPU_SPACES if isinstance(core, GpuCore) else SPACES


def design_space(
    kernel: tirx.PrimFunc, spaces: Mapping[str, ModuleType] = SPACES
) -> ModuleType | None:
    """The module of the kernel's family in ``spaces``; None where the kernel has its built-in
    schedule only.

    ``kernel`` has no schedule yet.
    """
    family = (kernel.attrs or {}).get(FAMILY_ATTR)
    if family is None and elementwise.serves(s_tir.Schedule(kernel)):
        return spaces[elementwise.FAMILY]
    return spaces.get(family)
