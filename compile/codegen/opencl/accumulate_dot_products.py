"""Sums with a dot product as its accumulator: one instruction multiplies and adds."""

from __future__ import annotations

import tvm
import tvm_ffi
from tvm import tirx

from compile.codegen.opencl.vector_access import called_name


@tirx.transform.prim_func_pass(opt_level=0, name="AccumulateDotProducts")
def accumulate_dot_products(
    function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext
) -> tirx.PrimFunc:
    """Turn ``a + mqnet_dot4_n(x, y)`` in a device function into ``mqnet_dot4_n(a, x, y)``."""

    def accumulate(total: tirx.Add) -> tirx.Expr:
        if not _is_dot_product(total.b):
            return total
        name, *factors = total.b.args
        return tirx.call_pure_extern(total.ty, name.value, total.a, *factors)

    function = tvm_ffi.structural_map(function, (tirx.Add, accumulate))

    def check(call: tvm.ir.Call) -> None:
        assert not _is_dot_product(call), "a dot product that is added to nothing"

    tvm_ffi.structural_walk(function, (tvm.ir.Call, check))
    return function


def _is_dot_product(value: tirx.Expr) -> bool:
    """Whether it is one without its accumulator."""
    if not isinstance(value, tvm.ir.Call) or len(value.args) != 3:
        return False
    return (called_name(value) or "").startswith("mqnet_dot4_")
