"""The kernel families whose loops can be cut in more than one way, for the tuner.

Each is a module with a frozen dataclass ``Choice`` of whole numbers, ``choices(sch, unit)``, all of
them that can be scheduled, ``builtin_choice(sch, unit)``, and ``schedule(sch, unit, choice)``. So a
candidate is a choice, and what is recorded of it is the trace of its schedule.
"""

from __future__ import annotations

from types import ModuleType

from tvm import s_tir, tirx

from compile.kernels import (
    depthwise,
    elementwise,
    inverted_residual,
    matrix_pointwise,
    packed_concat_pointwise,
    packed_conv,
    packed_depthwise,
    packed_pointwise,
    planar_conv,
    planar_pointwise,
    pointwise,
    spatial_conv,
)
from compile.kernels.kernel_function import FAMILY_ATTR

#: By family.
SPACES: dict[str, ModuleType] = {
    space.FAMILY: space
    for space in (
        packed_pointwise,
        packed_concat_pointwise,
        matrix_pointwise,
        packed_conv,
        packed_depthwise,
        inverted_residual,
        planar_conv,
        planar_pointwise,
        pointwise,
        spatial_conv,
        depthwise,
        elementwise,
    )
}


def design_space(kernel: tirx.PrimFunc) -> ModuleType | None:
    """The family's module; None where the kernel has its built-in schedule only.

    ``kernel`` has no schedule yet.
    """
    family = (kernel.attrs or {}).get(FAMILY_ATTR)
    if family is None and elementwise.serves(s_tir.Schedule(kernel)):
        return elementwise
    return SPACES.get(family)
