"""Sums, differences and products of int32 modulo 2^32.

TIR's own operators become LLVM's ``add nsw`` and ``mul nsw``, whose overflow is undefined. Each of
these is one call in TIR; when a kernel is compiled, TVM's LowerIntrin puts LLVM's vector-predicated
operation in its place, which wraps around. With every lane active it is one instruction.
"""

from __future__ import annotations

from functools import partial

import tvm
from tvm import tirx
from tvm.ir import Op, register_op_attr

# TVM's CallEffectKind: kPure.
_PURE = 1


def wrapping_add(left: tirx.Expr, right: tirx.Expr) -> tirx.Expr:
    """int32 ``left + right`` modulo 2^32."""
    return _call("add", left, right)


def wrapping_sub(left: tirx.Expr, right: tirx.Expr) -> tirx.Expr:
    """int32 ``left - right`` modulo 2^32."""
    return _call("sub", left, right)


def wrapping_mul(left: tirx.Expr, right: tirx.Expr) -> tirx.Expr:
    """int32 ``left * right`` modulo 2^32."""
    return _call("mul", left, right)


def wrapping_add_of_vectors(left: tirx.Expr, right: tirx.Expr) -> tirx.Expr:
    """The sum of two vectors of int32 as LLVM computes it, for what tensorize puts in place."""
    return _of_vectors("add", left, right)


def _call(name: str, left: tirx.Expr, right: tirx.Expr) -> tirx.Expr:
    return tvm.ir.Call(Op.get(f"mqnet.wrapping_{name}"), [left, right], ret_ty="int32")


def _lower(name: str, call: tvm.ir.Call) -> tirx.Expr:
    left, right = call.args
    if left.ty.dtype.lanes > 1:
        return _of_vectors(name, left, right)
    # LLVM has no vector-predicated operation on numbers; as 64 bits they cannot overflow.
    a, b = left.astype("int64"), right.astype("int64")
    return {"add": a + b, "sub": a - b, "mul": a * b}[name].astype("int32")


def _of_vectors(name: str, left: tirx.Expr, right: tirx.Expr) -> tirx.Expr:
    lanes = left.ty.dtype.lanes
    active = tirx.Broadcast(tirx.const(True, "bool"), lanes)
    return tirx.call_llvm_pure_intrin(
        left.ty, f"llvm.vp.{name}", left, right, active, tirx.const(lanes, "int32")
    )


for _name in ("add", "sub", "mul"):
    _operator = f"mqnet.wrapping_{_name}"
    register_op_attr(_operator, "TVectorizable", True)
    register_op_attr(_operator, "TCallEffectKind", _PURE)
    register_op_attr(_operator, "TScriptPrinterName", _operator)
    tirx.register_intrin_lowering(_operator, target="default", f=partial(_lower, _name))
