"""Lower what is left in float to elementwise kernels, chains of them fused into one.

TVM's own legalization, but for the functions of e^x: those become arithmetic that a vector unit
does, where LLVM would call the C library once per element; and for what sums up
(:mod:`compile.kernels.common.float_sums`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import tvm
from tvm import relax, te, tirx, topi

from compile.graph.layers import keep_layers
from compile.graph.tabulate_unary import SELU_ALPHA, SELU_SCALE
from compile.kernels.common import float_sums
from compile.passes.lower_narrow_sigmoids import LowerNarrowSigmoids
from compile.support.errors import GraphError

#: What the kernels of our own lowering carry: operator fusion leaves them alone.
_OPAQUE = 8

# exp(x) = 2^n * exp(r), |r| <= ln(2)/2: Cody and Waite's reduction with ln(2) in two parts and the
# minimax polynomial of Cephes' expf (S. Moshier); its error is below 2 units in the last place.
_LOG2_E = 1.44269504088896341
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_POLYNOMIAL = (
    1.9875691500e-4,
    1.3981999507e-3,
    8.3334519073e-3,
    4.1665795894e-2,
    1.6666665459e-1,
    5.0000001201e-1,
)
# tanh(x) = x * P(x^2) / Q(x^2): the minimax quotient of Eigen (generic_fast_tanh_float). Beyond its
# largest argument tanh is 1 in float32.
_TANH_LARGEST_ARGUMENT = 7.90531110763549805
_TANH_NUMERATOR = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928875436e-04,
    4.89352455891786e-03,
)
_TANH_DENOMINATOR = (
    1.19825839466702e-06,
    1.18534705686654e-04,
    2.26843463243900e-03,
    4.89352518554385e-03,
)
_ERF_SCALE = 0.3275911
_ERF_POLYNOMIAL = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
_EXPONENT_BITS, _EXPONENT_BIAS = 23, 127
#: What TVM leaves to functions that a build does not link, or cannot schedule.
_SEQUENTIAL = tuple(
    f"relax.{name}" for name in ("argsort", "cumprod", "cumsum", "median", "sort", "topk")
)
#: Beyond it 2^n leaves the normal numbers; sigmoid has long since saturated.
_LARGEST_ARGUMENT = 87.0


def fast_exp(x: tirx.Expr) -> tirx.Expr:
    """e^x for float32 ``x``, clamped to [-87, 87]."""
    limit = tirx.const(_LARGEST_ARGUMENT, "float32")
    x = tirx.max(tirx.min(x, limit), -limit)
    n = tirx.floor(x * _float(_LOG2_E) + _float(0.5))
    r = x - n * _float(_LN2_HIGH) - n * _float(_LN2_LOW)
    mantissa = _polynomial(r, _POLYNOMIAL) * r * r + r + _float(1.0)
    power = (n.astype("int32") + _EXPONENT_BIAS) << _EXPONENT_BITS
    return mantissa * tirx.reinterpret("float32", power)


def sigmoid(x: te.Tensor) -> te.Tensor:
    """1 / (1 + e^-x), in float32 whatever the type of ``x``."""
    one = _float(1.0)

    def compute(*index: tirx.Expr) -> tirx.Expr:
        value = x(*index).astype("float32")
        return (one / (one + fast_exp(-value))).astype(x.dtype)

    return te.compute(x.shape, compute, name="sigmoid")


def tanh(x: te.Tensor) -> te.Tensor:
    """A quotient of two polynomials, in float32 whatever the type of ``x``; its absolute error
    stays below 4e-7, and below 3e-7 where products and sums are fused."""
    limit = _float(_TANH_LARGEST_ARGUMENT)

    def compute(*index: tirx.Expr) -> tirx.Expr:
        value = x(*index).astype("float32")
        value = tirx.max(tirx.min(value, limit), -limit)
        square = value * value
        numerator = value * _polynomial(square, _TANH_NUMERATOR)
        return (numerator / _polynomial(square, _TANH_DENOMINATOR)).astype(x.dtype)

    return te.compute(x.shape, compute, name="tanh")


def _polynomial(x: tirx.Expr, coefficients: tuple[float, ...]) -> tirx.Expr:
    """The polynomial in ``x``, whose last coefficient stands for the constant."""
    p = _float(coefficients[0])
    for coefficient in coefficients[1:]:
        p = p * x + _float(coefficient)
    return p


def selu(x: te.Tensor) -> te.Tensor:
    """scale * (max(x, 0) + alpha * (e^min(x, 0) - 1)), in float32 whatever the type of ``x``."""
    zero, one = _float(0.0), _float(1.0)

    def compute(*index: tirx.Expr) -> tirx.Expr:
        value = x(*index).astype("float32")
        below = _float(SELU_ALPHA) * (fast_exp(tirx.min(value, zero)) - one)
        return (_float(SELU_SCALE) * (tirx.max(value, zero) + below)).astype(x.dtype)

    return te.compute(x.shape, compute, name="selu")


def gelu(x: te.Tensor) -> te.Tensor:
    """x / 2 * (1 + erf(x / sqrt(2))), in float32 whatever the type of ``x``; the error function's
    absolute error is below 2e-7 (Abramowitz and Stegun, 7.1.26)."""

    def compute(*index: tirx.Expr) -> tirx.Expr:
        value = x(*index).astype("float32")
        part = tirx.abs(value) * _float(0.5**0.5)
        t = _float(1.0) / (_float(1.0) + _float(_ERF_SCALE) * part)
        p = _float(_ERF_POLYNOMIAL[0])
        for coefficient in _ERF_POLYNOMIAL[1:]:
            p = p * t + _float(coefficient)
        # Half of 1 - erf(|x| / sqrt(2)): what is left of x where it is negative.
        rest = _float(0.5) * p * t * fast_exp(-part * part)
        share = tirx.Select(value < _float(0.0), rest, _float(1.0) - rest)
        return (value * share).astype(x.dtype)

    return te.compute(x.shape, compute, name="gelu")


def gelu_tanh(x: te.Tensor) -> te.Tensor:
    """x / 2 * (1 + tanh(y)), y = sqrt(2 / pi) * (x + 0.044715 x^3), which is x * sigmoid(2 y), in
    float32 whatever the type of ``x``."""

    def compute(*index: tirx.Expr) -> tirx.Expr:
        value = x(*index).astype("float32")
        inner = value * (_float(1.0) + _float(0.044715) * value * value)
        power = fast_exp(_float(-2 * (2 / math.pi) ** 0.5) * inner)
        return (value / (_float(1.0) + power)).astype(x.dtype)

    return te.compute(x.shape, compute, name="gelu_tanh")


def exp(x: te.Tensor) -> te.Tensor:
    """e^x, in float32 whatever the type of ``x``; finite, see :func:`fast_exp`."""

    def compute(*index: tirx.Expr) -> tirx.Expr:
        return fast_exp(x(*index).astype("float32")).astype(x.dtype)

    return te.compute(x.shape, compute, name="exp")


def _summed(
    function: Callable[..., te.Tensor], builder: relax.BlockBuilder, call: relax.Call
) -> relax.Expr:
    """Sums or means by ``function`` of floats; of integers and truths TVM's own."""
    if not str(call.ty.dtype).startswith("float"):
        return call.op.get_attr("FLegalize")(builder, call)
    return builder.call_te(function, call.args[0], call.attrs.axis, bool(call.attrs.keepdims))


def _softmax(in_log: bool, builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    axis = int(call.attrs.axis)

    def softmax(x: te.Tensor) -> te.Tensor:
        return float_sums.softmax(x, axis, fast_exp, in_log)

    return builder.call_te(softmax, call.args[0])


def _layer_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    return builder.call_te(
        float_sums.layer_norm, *call.args, call.attrs.axes, float(call.attrs.epsilon)
    )


def _group_norm(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    groups, channel_axis = int(call.attrs.num_groups), int(call.attrs.channel_axis)
    along = call.attrs.axes, float(call.attrs.epsilon)
    return builder.call_te(float_sums.group_norm, *call.args, groups, channel_axis, *along)


_SUMS = {
    "relax.sum": partial(_summed, float_sums.total),
    "relax.mean": partial(_summed, float_sums.mean),
    "relax.nn.softmax": partial(_softmax, False),
    "relax.nn.log_softmax": partial(_softmax, True),
    "relax.nn.layer_norm": _layer_norm,
    "relax.nn.group_norm": _group_norm,
}


def _axis(take: relax.Call) -> int | None:
    return None if take.attrs.axis is None else int(take.attrs.axis)


@tvm.transform.module_pass(opt_level=0, name="LegalizeFloatOps")
class LegalizeFloatOps:
    """Legalize the remaining Relax ops and fuse them into elementwise kernels."""

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        mod = mod.clone()
        for name, function in mod.functions_items():
            if isinstance(function, tirx.PrimFunc):
                mod.update_func(name, function.with_attr("op_pattern", _OPAQUE))
        by_our_own = {
            "relax.sigmoid": lambda builder, call: builder.call_te(sigmoid, call.args[0]),
            "relax.nn.selu": lambda builder, call: builder.call_te(selu, call.args[0]),
            "relax.nn.gelu": lambda builder, call: builder.call_te(gelu, call.args[0]),
            "relax.nn.gelu_tanh": lambda builder, call: builder.call_te(gelu_tanh, call.args[0]),
            "relax.exp": lambda builder, call: builder.call_te(exp, call.args[0]),
            # By default an index outside is read all the same.
            "relax.take": lambda builder, call: builder.call_te(
                topi.take, *call.args, axis=_axis(call), mode="clip"
            ),
            "relax.tanh": lambda builder, call: builder.call_te(tanh, call.args[0]),
            **_SUMS,
            **dict.fromkeys(_SEQUENTIAL, _refuse),
        }
        passes = [
            LowerNarrowSigmoids(),
            keep_layers(relax.transform.LegalizeOps(by_our_own)),
            relax.transform.AnnotateTIROpPattern(),
            relax.transform.FuseOps(),
            keep_layers(relax.transform.FuseTIR()),
            relax.transform.DeadCodeElimination(),
        ]
        return tvm.transform.Sequential(passes)(mod)


def _refuse(_builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    name = call.op.name.removeprefix("relax.")
    raise GraphError(
        f"operator {name} goes through an axis number by number, which has no kernel here: leave "
        "it to what reads the network's results (largest values have amax, their places argmax)"
    )


def _float(value: float) -> tirx.Expr:
    return tirx.const(value, "float32")
