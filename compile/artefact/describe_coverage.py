"""How much of a planned network is computed in integers: for the manifest and the build's table."""

from __future__ import annotations

from collections.abc import Sequence

import tvm
from tvm import tirx

from compile.artefact.manifest import CallSummary, Coverage
from compile.kernels.common.kernel_function import MACS_ATTR

#: The one float operand that a kernel of integers has.
_MULTIPLIER = "multiplier"


def describe_coverage(
    modules: Sequence[tvm.IRModule], calls: Sequence[Sequence[CallSummary]]
) -> Coverage:
    """Count the kernel calls of a frame by what they compute with.

    Args:
        modules: the planned one of each device.
        calls: of the kernels of each, in order.
    """
    macs, ops, layers = {True: 0, False: 0}, {True: 0, False: 0}, dict[str, None]()
    for module, calls_of_it in zip(modules, calls, strict=True):
        for call in calls_of_it:
            kernel = module[call.kernel]
            macs[multiplies_int8(kernel)] += int((kernel.attrs or {}).get(MACS_ATTR, 0))
            is_integer = not _float_operands(kernel)
            ops[is_integer] += 1
            if not is_integer:
                layers |= dict.fromkeys(call.layers)
    return Coverage(macs[True], macs[False], ops[True], ops[False], tuple(layers))


def multiplies_int8(kernel: tirx.PrimFunc) -> bool:
    """Whether what ``kernel`` multiplies, its first two operands, is int8 by int8, which are packed
    as int16 for some instructions. One that only writes, as a plane of ones, multiplies nothing."""
    dtypes = [_dtype(param) for param in kernel.params[:2]]
    return dtypes in (["int8", "int8"], ["int8", "int16"])


def _float_operands(kernel: tirx.PrimFunc) -> list[tirx.Var]:
    return [
        param
        for param in kernel.params
        if "float" in _dtype(param) and param.name.rstrip("_0123456789") != _MULTIPLIER
    ]


def _dtype(param: tirx.Var) -> str:
    return str(getattr(param.ty, "dtype", ""))
