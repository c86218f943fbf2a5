"""A kernel before scheduling: a TE compute as PrimFunc that knows its family."""

from __future__ import annotations

from tvm import te, tirx

#: PrimFunc attribute that names the kernel family, which selects the default schedule.
FAMILY_ATTR = "mqnet.family"

#: PrimFunc attribute with the multiply-accumulates of one call.
MACS_ATTR = "mqnet.macs"


def create_kernel(
    family: str, operands: list[te.Tensor], result: te.Tensor, macs: int = 0
) -> tirx.PrimFunc:
    """PrimFunc over ``operands`` followed by ``result``, tagged with its kernel ``family``.

    It has no global symbol: the module that it is added to gives it its name.
    """
    function = te.create_prim_func([*operands, result]).without_attr("global_symbol")
    return function.with_attr(FAMILY_ATTR, family).with_attr(MACS_ATTR, macs)
