"""The operator that ends every int8 kernel, and what it becomes on each kind of processor.

``mqnet.quantize_int8(value, zero_point, low, high)`` of a float32 and three int32 is the int8
``clamp(rne(value) + zero_point, low, high)``, rne = round to nearest, ties to even. In TIR it is
one call; when a kernel is compiled, TVM's LowerIntrin puts the shortest way that the target has in
its place. All ways give the same for every number, also for those beyond int32, whose cast is
undefined in LLVM; what NaN becomes is the processor's own.

``mqnet.round_to_int8(value, zero_point)`` is the same where the limits are those of int8 and the
value is no larger than :data:`MOST_ROUNDED`, so that nothing has to be limited before it is
narrowed. :mod:`compile.passes.drop_idle_limits` finds out where.
"""

from __future__ import annotations

import tvm
from tvm import tirx
from tvm.ir import Op, register_op_attr

QUANTIZE_INT8 = "mqnet.quantize_int8"
ROUND_TO_INT8 = "mqnet.round_to_int8"

#: Up to it, with a zero point added, there is an int32.
MOST_ROUNDED = 2.0**31 - 2.0**16

#: Lanes of a NEON register of float32.
_NEON_LANES = 4

# TVM's CallEffectKind: kPure.
_PURE = 1

for _name in (QUANTIZE_INT8, ROUND_TO_INT8):
    register_op_attr(_name, "TVectorizable", True)
    register_op_attr(_name, "TCallEffectKind", _PURE)
    register_op_attr(_name, "TScriptPrinterName", _name)


def quantize_int8(
    value: tirx.Expr, zero_point: tirx.Expr, low: tirx.Expr, high: tirx.Expr
) -> tirx.Expr:
    """A call of the operator."""
    return tvm.ir.Call(Op.get(QUANTIZE_INT8), [value, zero_point, low, high], ret_ty="int8")


def round_to_int8(value: tirx.Expr, zero_point: tirx.Expr) -> tirx.Expr:
    """A call of the operator without limits."""
    return tvm.ir.Call(Op.get(ROUND_TO_INT8), [value, zero_point], ret_ty="int8")


def _lower(call: tvm.ir.Call) -> tirx.Expr:
    """Clamped while still a float, then converted to int32 by the processor's rounding mode, which
    is to nearest even (x86: cvtps2dq)."""
    value, zero_point, low, high = call.args
    least, most = (_cast(limit - zero_point, "float32") for limit in (low, high))
    clamped = tirx.max(tirx.min(value, most), least)
    rounded = tirx.call_llvm_pure_intrin(_like(value, "int32"), "llvm.lrint", clamped)
    return _cast(rounded + zero_point, "int8")


def _lower_neon(call: tvm.ir.Call) -> tirx.Expr:
    """Rounded with saturation, which needs no limits before it, then narrowed with saturation, so
    that the limits are applied to sixteen lanes at once."""
    *_, low, high = call.args
    result = _lower_rounding_neon(call)
    return tirx.max(tirx.min(result, _cast(high, "int8")), _cast(low, "int8"))


def _lower_rounding(call: tvm.ir.Call) -> tirx.Expr:
    """Converted by the rounding mode, and saturated by what narrows int32."""
    value, zero_point = call.args
    rounded = tirx.call_llvm_pure_intrin(_like(value, "int32"), "llvm.lrint", value)
    return _saturated(rounded + zero_point, "int8")


def _lower_rounding_neon(call: tvm.ir.Call) -> tirx.Expr:
    """Of either operator, without its limits."""
    value, zero_point, *_ = call.args
    narrow = _saturated(_round_neon(value), "int16")
    shifted = tirx.call_llvm_pure_intrin(
        _like(value, "int16"), "llvm.sadd.sat", narrow, _cast(zero_point, "int16")
    )
    return _saturated(shifted, "int8")


def _round_neon(value: tirx.Expr) -> tirx.Expr:
    """Float32 to int32, to nearest even, saturating: fcvtns, which takes one register."""
    lanes = value.ty.dtype.lanes
    if lanes % _NEON_LANES:
        rounded = tirx.call_llvm_pure_intrin(_like(value, "float32"), "llvm.roundeven", value)
        return tirx.call_llvm_pure_intrin(_like(value, "int32"), "llvm.fptosi.sat", rounded)
    parts = []
    for start in range(0, lanes, _NEON_LANES):
        part = value
        if lanes > _NEON_LANES:
            part = tirx.Shuffle([value], list(range(start, start + _NEON_LANES)))
        parts.append(
            tirx.call_llvm_pure_intrin(f"int32x{_NEON_LANES}", "llvm.aarch64.neon.fcvtns", part)
        )
    return parts[0] if len(parts) == 1 else tirx.Shuffle(parts, list(range(lanes)))


def _lower_opencl(call: tvm.ir.Call) -> tirx.Expr:
    """A function that :mod:`compile.codegen.opencl.called_functions` writes into the source; the
    quantization parameters are one for all lanes."""
    value, *parameters = call.args
    lanes = value.ty.dtype.lanes
    scalars = [p.value if isinstance(p, tirx.Broadcast) else p for p in parameters]
    return tirx.call_pure_extern(_like(value, "int8"), f"mqnet_quantize_{lanes}", value, *scalars)


def _saturated(value: tirx.Expr, dtype: str) -> tirx.Expr:
    limits = tirx.min_value(dtype), tirx.max_value(dtype)
    least, most = (tirx.const(int(limit.value), value.ty) for limit in limits)
    return _cast(tirx.max(tirx.min(value, most), least), dtype)


def _like(value: tirx.Expr, dtype: str) -> str:
    lanes = value.ty.dtype.lanes
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def _cast(value: tirx.Expr, dtype: str) -> tirx.Expr:
    return value.astype(_like(value, dtype))


tirx.register_intrin_lowering(QUANTIZE_INT8, target="default", f=_lower)
tirx.register_intrin_lowering(QUANTIZE_INT8, target="llvm.aarch64", f=_lower_neon)
tirx.register_intrin_lowering(QUANTIZE_INT8, target="opencl", f=_lower_opencl)
tirx.register_intrin_lowering(ROUND_TO_INT8, target="default", f=_lower_rounding)
tirx.register_intrin_lowering(ROUND_TO_INT8, target="llvm.aarch64", f=_lower_rounding_neon)
