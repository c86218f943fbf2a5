"""Requantization: an int32 accumulator becomes int8 with one float32 multiply in a register.

``y = clamp(rne(f32(acc) * multiplier) + z_y, lo, hi)``, rne = round to nearest, ties to even. This
is what XNNPACK's per-channel int8 kernels compute (``qs8-qc8w``, "fp32 requantization"), so results
compare bit for bit with LiteRT's. The quantization parameters are tensors, never immediates: a
tuning record is keyed by the kernel's TIR and must outlive a recalibration of the network.
"""

from __future__ import annotations

from tvm import te, tirx
from tvm.ir import register_op_attr

#: Meaning of the elements of a kernel's ``quant`` argument, int32[4].
INPUT_ZERO_POINT, OUTPUT_ZERO_POINT, CLAMP_LOW, CLAMP_HIGH = range(4)

# LLVM rounds vectors, but TVM does not know, and would make a scalar loop of each that rounds.
register_op_attr("tirx.nearbyint", "TVectorizable", True, level=11)


def to_float(value: tirx.Expr) -> tirx.Expr:
    """``value`` (int32) as float32, rounded to nearest even as NumPy's ``astype`` does."""
    return value.astype("float32")


def clamp_to_int8(rounded: tirx.Expr, quant: te.Tensor) -> tirx.Expr:
    """The int8 value of an integral float32 ``rounded`` (without zero point), clamped to
    ``[quant[CLAMP_LOW], quant[CLAMP_HIGH]]``.

    The clamp is done before the cast: casting a float beyond int32 is undefined in LLVM.
    """
    zero_point = quant[OUTPUT_ZERO_POINT]
    low = to_float(quant[CLAMP_LOW] - zero_point)
    high = to_float(quant[CLAMP_HIGH] - zero_point)
    clamped = tirx.max(tirx.min(rounded, high), low)
    return (clamped.astype("int32") + zero_point).astype("int8")


def requantize(accumulator: tirx.Expr, multiplier: tirx.Expr, quant: te.Tensor) -> tirx.Expr:
    """int8 value of the int32 ``accumulator`` under the float32 ``multiplier``.

    ``quant`` is the kernel's int32[4]: input zero point, output zero point, lower and upper limit
    of the result (ReLU and ReLU6 are nothing but these limits).
    """
    return clamp_to_int8(tirx.nearbyint(to_float(accumulator) * multiplier), quant)


def uncontracted(product: tirx.Expr) -> tirx.Expr:
    """``product`` (float32) rounded by itself, kept out of a fused multiply-add.

    TVM lets LLVM fuse any multiply with the add behind it; the fused result is rounded once, not
    twice, and differs from the rule. ``llvm.arithmetic.fence`` is the barrier that costs nothing.
    """
    return tirx.call_llvm_pure_intrin("float32", "llvm.arithmetic.fence", product)
