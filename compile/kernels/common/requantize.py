"""Requantization: an int32 accumulator becomes int8 with one float32 multiply in a register.

``y = clamp(rne(f32(acc) * multiplier) + z_y, lo, hi)``, rne = round to nearest, ties to even. This
is what XNNPACK's per-channel int8 kernels compute (``qs8-qc8w``, "fp32 requantization"), so results
compare bit for bit with LiteRT's. The quantization parameters are tensors, never immediates: a
tuning record is keyed by the kernel's TIR and must outlive a recalibration of the network.
"""

from __future__ import annotations

import tvm
from tvm import te, tirx
from tvm.target.codegen import llvm_lookup_intrinsic_id

from compile.kernels.common.quantize_op import quantize_int8

_FENCE = "llvm.arithmetic.fence"

#: Meaning of the elements of a kernel's ``quant`` argument, int32[4].
INPUT_ZERO_POINT, OUTPUT_ZERO_POINT, CLAMP_LOW, CLAMP_HIGH = range(4)


def to_float(value: tirx.Expr) -> tirx.Expr:
    """``value`` (int32) as float32, rounded to nearest even as NumPy's ``astype`` does."""
    return value.astype("float32")


def quantize(value: tirx.Expr, quant: te.Tensor, low: int = CLAMP_LOW) -> tirx.Expr:
    """The int8 next to the float32 ``value`` (ties to even) with the zero point added, clamped to
    ``[quant[low], quant[CLAMP_HIGH]]``."""
    return quantize_int8(value, quant[OUTPUT_ZERO_POINT], quant[low], quant[CLAMP_HIGH])


def requantize(
    accumulator: tirx.Expr, multiplier: tirx.Expr, quant: te.Tensor, low: int = CLAMP_LOW
) -> tirx.Expr:
    """int8 value of the int32 ``accumulator`` under the float32 ``multiplier``.

    ``quant`` is the kernel's int32[4]: input zero point, output zero point, lower and upper limit
    of the result (ReLU and ReLU6 are nothing but these limits); ``low`` says which of them the
    lower one is, which is the output's zero point behind a ReLU.
    """
    return quantize(to_float(accumulator) * multiplier, quant, low)


def uncontracted(product: tirx.Expr) -> tirx.Expr:
    """``product`` (float32) rounded by itself, kept out of a fused multiply-add.

    TVM lets LLVM fuse any multiply with the add behind it; the fused result is rounded once, not
    twice, and differs from the rule. ``llvm.arithmetic.fence`` is the barrier that costs nothing.
    """
    return tirx.call_llvm_pure_intrin("float32", _FENCE, product)


def product_inside(value: tirx.Expr) -> tirx.Expr | None:
    """What :func:`uncontracted` has made ``value`` of; None where it is something else."""
    if getattr(getattr(value, "op", None), "name", "") != "tirx.call_llvm_pure_intrin":
        return None
    intrinsic, *args = value.args
    return args[0] if int(intrinsic) == llvm_lookup_intrinsic_id(_FENCE) else None


def _fence_in_opencl(call: tvm.ir.Call) -> tirx.Expr:
    """The product by a function that the compiler may not contract
    (:mod:`compile.codegen.opencl.called_functions`): OpenCL has no fence for a value."""
    _, product = call.args
    if not isinstance(product, tirx.Mul):
        raise ValueError(f"{call} has no form in OpenCL")
    lanes = product.ty.dtype.lanes
    return tirx.call_pure_extern(call.ty, f"mqnet_product_{lanes}", product.a, product.b)


# The only LLVM intrinsic in kernels that a GPU runs too.
tirx.register_intrin_lowering("tirx.call_llvm_pure_intrin", target="opencl", f=_fence_in_opencl)
