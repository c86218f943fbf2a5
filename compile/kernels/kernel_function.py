"""A kernel before scheduling: a TE compute as PrimFunc that knows its family."""

from __future__ import annotations

import tvm
from tvm import te

#: PrimFunc attribute that names the kernel family, which selects the built-in schedule.
FAMILY_ATTR = "mqnet.family"


def create_kernel(family: str, operands: list[te.Tensor], result: te.Tensor) -> tvm.tirx.PrimFunc:
    """PrimFunc over ``operands`` followed by ``result``, tagged with its kernel ``family``."""
    function = te.create_prim_func([*operands, result]).without_attr("global_symbol")
    return function.with_attr(FAMILY_ATTR, family)
