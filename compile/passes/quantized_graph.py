"""Read the quantized graph: what computes in integers between a dequantize and a quantize.

An *island* is an int8 tensor made from int8 tensors by ops that the graph computes in float. The
partition asks which tensors are islands, the lowering replaces each by an integer kernel. Not a
pass itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax

from compile.passes.constants import Definitions, constant_value


class NotLowerable(Exception):
    """The reason why a tensor has no integer kernel."""


@dataclass(frozen=True)
class Quantization:
    """``real = scale * (q - zero_point)``, int8, per tensor."""

    scale: np.float32
    zero_point: int

    def quantized(self, real: float) -> int:
        """The int8 number nearest to ``real``, ties to even, saturated."""
        return int(np.clip(np.rint(np.float32(real) / self.scale) + self.zero_point, -128, 127))


@dataclass(frozen=True)
class QuantizedTensor:
    """An int8 variable of the original graph and what its numbers mean."""

    tensor: relax.Var
    quantization: Quantization


@dataclass(frozen=True)
class Convolution:
    """A 2-D convolution with bias and activation, NHWC.

    Attributes:
        data: the original int8 variable, or the original float variable.
        weight: OIHW, int8 or float32.
        weight_scale: float32 [O], or None for float weights.
        bias: float32 [O].
        low, high: limits of the activation in real numbers, or None.
    """

    data: QuantizedTensor | relax.Expr
    weight: NDArray
    weight_scale: NDArray[np.float32] | None
    bias: NDArray[np.float32]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Island:
    """An int8 tensor computed from int8 tensors.

    Attributes:
        kind: "conv2d", "add", "multiply", "mean", "upsample", "concat" or "unary".
        inputs: the int8 operands; for "unary" possibly one uint8 picture.
        output: quantization of the result.
        low, high: limits of the result as int8 numbers (the activation is part of them).
        convolution: for "conv2d".
        table: int8 [256] for "unary".
        factor: for "upsample".
    """

    kind: str
    inputs: tuple[QuantizedTensor, ...]
    output: Quantization
    low: int = -128
    high: int = 127
    convolution: Convolution | None = None
    table: NDArray[np.int8] | None = None
    factor: int | None = None


def op_name(expr: relax.Expr | None) -> str:
    """Name of the operator that ``expr`` calls, without "relax.", or an empty string."""
    if isinstance(expr, relax.Call) and isinstance(expr.op, tvm.ir.Op):
        return expr.op.name.removeprefix("relax.")
    return ""


def quantization_of(call: relax.Call, definitions: Definitions) -> Quantization:
    """The per-tensor parameters of a quantize or dequantize ``call``."""
    scale, zero_point = (constant_value(arg, definitions) for arg in call.args[1:3])
    if scale is None or scale.size != 1:
        raise NotLowerable(f"{op_name(call)} is not per tensor with constant parameters")
    return Quantization(np.float32(scale.item()), int(zero_point.item()))


def match_island(var: relax.Var, definitions: Definitions) -> Island:
    """The island whose result is ``var``, a variable that a quantize defines.

    Raises:
        NotLowerable: with the reason.
    """
    quantize = definitions[var]
    output = quantization_of(quantize, definitions)
    chain, source = _unary_chain(quantize.args[0], definitions)
    origin = _unary_origin(chain, source, definitions)
    if origin is not None:
        chain, operand, numbers = origin
        return Island("unary", (operand,), output, table=_tabulate(chain, numbers, output))
    low, high = _limits(chain)
    limits = {
        "low": -128 if low is None else output.quantized(low),
        "high": 127 if high is None else output.quantized(high),
    }
    return _match_anchor(source, definitions, output, limits)


def match_convolution(expr: relax.Expr, definitions: Definitions) -> Convolution:
    """The convolution (with its bias) that ``expr`` computes.

    Raises:
        NotLowerable: it is none, or one that no kernel serves.
    """
    call = definitions.get(expr, expr) if isinstance(expr, relax.Var) else expr
    bias = None
    if op_name(call) == "add":
        bias = constant_value(call.args[1], definitions)
        if bias is None:
            raise NotLowerable("it adds two tensors")
        call = definitions.get(call.args[0])
    if op_name(call) != "nn.conv2d":
        raise NotLowerable(f"{op_name(call) or 'its source'} is no convolution")
    attrs = call.attrs
    if [int(d) for d in attrs.dilation] != [1, 1]:
        raise NotLowerable("the convolution is dilated")
    weight, weight_scale = _weight(call.args[1], definitions)
    channels = weight.shape[0]
    if bias is None:
        bias = np.zeros(channels, np.float32)
    if bias.size != channels:
        raise NotLowerable("the bias is not one number per output channel")
    groups = int(attrs.groups)
    if groups != 1 and not groups == channels == int(call.args[0].ty.shape[3]):
        raise NotLowerable(f"the convolution has {groups} groups: neither dense nor depthwise")
    data_definition = definitions.get(call.args[0])
    data: QuantizedTensor | relax.Expr = call.args[0]
    if op_name(data_definition) == "dequantize":
        data = _dequantized(call.args[0], definitions)
    return Convolution(
        data,
        weight,
        weight_scale,
        bias.reshape(channels).astype(np.float32),
        stride=tuple(int(s) for s in attrs.strides),
        padding=tuple(int(p) for p in attrs.padding),
        groups=groups,
    )


def activation_limits(call: relax.Expr) -> tuple[float | None, float | None] | None:
    """(low, high) where ``call`` is a ReLU or a clip, else None."""
    if op_name(call) == "nn.relu":
        return 0.0, None
    if op_name(call) == "clip":
        return float(call.args[1].value), float(call.args[2].value)
    return None


def _weight(
    expr: relax.Expr, definitions: Definitions
) -> tuple[NDArray, NDArray[np.float32] | None]:
    definition = definitions.get(expr) if isinstance(expr, relax.Var) else expr
    if op_name(definition) == "dequantize":
        weight = constant_value(definition.args[0], definitions)
        scale = constant_value(definition.args[1], definitions)
        zero_point = constant_value(definition.args[2], definitions)
        if weight is None or scale is None or np.any(zero_point) or definition.attrs.axis != 0:
            raise NotLowerable("the weights are not constants, symmetric per output channel")
        return weight, scale.astype(np.float32)
    weight = constant_value(expr, definitions)
    if weight is None:
        raise NotLowerable("the weights are no constants")
    return weight, None


def _dequantized(expr: relax.Expr, definitions: Definitions) -> QuantizedTensor:
    definition = definitions.get(expr) if isinstance(expr, relax.Var) else None
    if op_name(definition) != "dequantize" or not isinstance(definition.args[0], relax.Var):
        raise NotLowerable(f"operand {expr} is not a quantized tensor")
    return QuantizedTensor(definition.args[0], quantization_of(definition, definitions))


def _match_anchor(
    source: relax.Expr, definitions: Definitions, output: Quantization, limits: dict[str, int]
) -> Island:
    call = definitions.get(source)
    name = op_name(call)
    if name in ("add", "multiply") and constant_value(call.args[1], definitions) is None:
        operands = tuple(_dequantized(arg, definitions) for arg in call.args)
        _check_broadcast(operands)
        return Island(name, operands, output, **limits)
    if name in ("add", "nn.conv2d"):
        convolution = match_convolution(source, definitions)
        if not isinstance(convolution.data, QuantizedTensor) or convolution.weight_scale is None:
            raise NotLowerable("the convolution has a float operand")
        return Island("conv2d", (convolution.data,), output, **limits, convolution=convolution)
    if name == "nn.adaptive_avg_pool2d":
        if [int(extent) for extent in call.ty.shape][1:3] != [1, 1]:
            raise NotLowerable("average pooling is lowered for a 1x1 result only")
        return Island("mean", (_dequantized(call.args[0], definitions),), output, **limits)
    if name == "image.resize2d":
        factor = upsampling_factor(call)
        data = _same_quantization(call.args[:1], definitions, output, limits)
        return Island("upsample", data, output, factor=factor)
    if name == "concat":
        fields = call.args[0].fields
        if int(call.attrs.axis) != 3 or len(fields) != 2:
            raise NotLowerable("concatenation is lowered for two tensors along channels only")
        return Island("concat", _same_quantization(fields, definitions, output, limits), output)
    raise NotLowerable(f"{name or 'a function parameter'} has no integer kernel")


def _check_broadcast(operands: tuple[QuantizedTensor, ...]) -> None:
    left, right = ([int(e) for e in operand.tensor.ty.shape] for operand in operands)
    pairs = zip(left, right, strict=False)
    if len(left) != len(right) or any(a != b and 1 not in (a, b) for a, b in pairs):
        raise NotLowerable(f"operands of shapes {left} and {right} have no common kernel")


def _same_quantization(
    operands: list[relax.Expr],
    definitions: Definitions,
    output: Quantization,
    limits: dict[str, int],
) -> tuple[QuantizedTensor, ...]:
    tensors = tuple(_dequantized(operand, definitions) for operand in operands)
    if any(tensor.quantization != output for tensor in tensors) or limits != {
        "low": -128,
        "high": 127,
    }:
        raise NotLowerable("moving bytes needs one quantization for operands and result")
    return tensors


def upsampling_factor(call: relax.Call) -> int:
    """The whole factor of a nearest-neighbour resize (NHWC).

    Raises:
        NotLowerable: another method, or a factor that is not whole or differs by axis.
    """
    source = [int(extent) for extent in call.args[0].ty.shape]
    target = [int(extent) for extent in call.ty.shape]
    factors = {target[1] / source[1], target[2] / source[2]}
    if call.attrs.method != "nearest_neighbor" or len(factors) != 1 or factors.pop() % 1:
        raise NotLowerable("resizing is lowered for nearest neighbours and whole factors only")
    return target[1] // source[1]


_UNARY: dict[str, Callable[..., NDArray]] = {
    "nn.relu": lambda x: np.maximum(x, np.float32(0)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x.astype(np.float64))),
    "tanh": lambda x: np.tanh(x.astype(np.float64)),
    "exp": lambda x: np.exp(x.astype(np.float64)),
    "clip": lambda x, low, high: np.clip(x, low, high),
    "astype": lambda x: x,
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
}


def _unary_chain(expr: relax.Expr, definitions: Definitions) -> tuple[list[relax.Call], relax.Expr]:
    """The ops of one tensor operand (and scalars) that lead to ``expr``, last first, and the
    expression before them."""
    chain = []
    while True:
        call = definitions.get(expr) if isinstance(expr, relax.Var) else None
        if op_name(call) not in _UNARY or not _others_are_scalars(call, definitions):
            return chain, expr
        chain.append(call)
        expr = call.args[0]


def _others_are_scalars(call: relax.Call, definitions: Definitions) -> bool:
    values = (constant_value(arg, definitions) for arg in call.args[1:] if _is_tensor(arg))
    return all(value is not None and value.size == 1 for value in values)


def _is_tensor(expr: relax.Expr) -> bool:
    return isinstance(getattr(expr, "ty", None), relax.TensorType)


def _unary_origin(
    chain: list[relax.Call], source: relax.Expr, definitions: Definitions
) -> tuple[list[relax.Call], QuantizedTensor, NDArray] | None:
    """The 8-bit tensor that a unary ``chain`` starts from, and its 256 values as real numbers."""
    if op_name(definitions.get(source)) == "dequantize":
        operand = _dequantized(source, definitions)
        q = np.arange(-128, 128, dtype=np.float32)
        numbers = (q - operand.quantization.zero_point) * operand.quantization.scale
        return chain, operand, numbers
    if _is_tensor(source) and source.ty.dtype == "uint8":
        unit = Quantization(np.float32(1), 0)
        return chain, QuantizedTensor(source, unit), np.arange(256, dtype=np.float32)
    return None


def _tabulate(chain: list[relax.Call], numbers: NDArray, output: Quantization) -> NDArray[np.int8]:
    """int8 [256]: the quantized value of the ``chain`` for each of the 256 ``numbers``.

    Every op is rounded to float32, as PyTorch computes it; exponentials are taken in double
    precision first, so that the table does not depend on a math library's last bit.
    """
    values = numbers
    for call in reversed(chain):
        scalars = [_scalar(arg) for arg in call.args[1:]]
        values = _UNARY[op_name(call)](values, *scalars).astype(np.float32)
    # PyTorch quantizes by multiplying with the float32 reciprocal of the scale.
    inverse = np.float32(1) / output.scale
    rounded = np.rint(values * inverse) + output.zero_point
    return np.clip(rounded, -128, 127).astype(np.int8)


def _scalar(expr: relax.Expr) -> np.float32:
    value = expr.value
    return np.float32(value.numpy().item() if hasattr(value, "numpy") else value)


def _limits(chain: list[relax.Call]) -> tuple[float | None, float | None]:
    """The common limits of a chain of activations behind an anchor op."""
    low, high = None, None
    for call in reversed(chain):
        limits = activation_limits(call)
        if limits is None:
            raise NotLowerable(f"{op_name(call)} behind an op with an int32 result")
        low = limits[0] if low is None else max(low, limits[0])
        if limits[1] is not None:
            high = limits[1] if high is None else min(high, limits[1])
    return low, high
