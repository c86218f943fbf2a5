"""Recognize what computes in integers between a dequantize and a quantize.

A *quantized op* is an int8 tensor made from int8 tensors by ops that the graph computes in float.
The partition asks which tensors are quantized ops, the lowering replaces each by an integer kernel.
Not a pass itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tvm import relax

from compile.graph.constants import Definitions, constant_value
from compile.graph.match_bilinear import match_bilinear, match_nearest
from compile.graph.match_border import match_border
from compile.graph.match_channel_maximum import check_channel_maximum
from compile.graph.match_convolution import Convolution, activation_limits, match_convolution
from compile.graph.match_depth_to_space import DepthToSpace, match_depth_to_space
from compile.graph.match_mean import check_integer_sum, is_over_channels
from compile.graph.match_pooling import match_average_pooling, match_pooling
from compile.graph.match_rearrangement import REARRANGING, match_cut, match_rearrangement
from compile.graph.quantized_graph import (
    FloatOperand,
    NotLowerable,
    Quantization,
    QuantizedTensor,
    dequantized,
    op_name,
    quantization_of,
)
from compile.graph.tabulate_unary import tabulate, unary_function, unary_origin
from compile.kernels.common.border import Border
from compile.kernels.common.rearrangement import Cut, Rearrangement
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.average_pool import AveragedWindow


@dataclass(frozen=True)
class QuantizedOp:
    """An int8 tensor computed from int8 tensors.

    Attributes:
        kind: "conv2d", "add", "multiply", "mean", "average_pool", "max_pool", "upsample",
            "depth_to_space", "border", "bilinear", "channel_maximum", "channel_mean", "concat",
            "rearrangement", "cut", "nearest" or "unary".
        inputs: the int8 operands; for "unary" possibly one uint8 feature map. The scale of one of
            "add" has the number in it that the graph multiplies it by.
        output: quantization of the result.
        low, high: limits of the result as int8 numbers (the activation is part of them).
        convolution: for "conv2d".
        table: int8 [256], or [C,256], for "unary".
        factor: for "upsample".
        shuffle: for "depth_to_space".
        window: for "max_pool".
        averaged: for "average_pool".
        border: for "border".
        size: rows and columns of the result, for "bilinear" and "nearest".
        aligned: whether corners are, for "bilinear".
        arranged: for "rearrangement".
        cut: for "cut".
    """

    kind: str
    inputs: tuple[QuantizedTensor, ...]
    output: Quantization
    low: int = -128
    high: int = 127
    convolution: Convolution | None = None
    table: NDArray[np.int8] | None = None
    factor: int | None = None
    shuffle: DepthToSpace | None = None
    window: Window | None = None
    averaged: AveragedWindow | None = None
    border: Border | None = None
    size: tuple[int, int] | None = None
    aligned: bool = False
    arranged: Rearrangement | None = None
    cut: Cut | None = None


def match_quantized_op(var: relax.Var, definitions: Definitions) -> QuantizedOp:
    """The quantized op whose result is ``var``, a variable that a quantize defines.

    Raises:
        NotLowerable: with the reason.
    """
    quantize = definitions[var]
    output = quantization_of(quantize, definitions)
    function = unary_function(quantize.args[0], definitions)
    origin = unary_origin(function, definitions)
    if origin is not None:
        operand, numbers = origin
        table = tabulate(function, numbers, output, definitions)
        return QuantizedOp("unary", (operand,), output, table=table)
    source, low, high = before_activations(quantize.args[0], definitions)
    limits = (
        -128 if low is None else output.quantized(low),
        127 if high is None else output.quantized(high),
    )
    return _match_anchor(source, definitions, output, limits)


def before_activations(
    expr: relax.Expr, definitions: Definitions
) -> tuple[relax.Expr, float | None, float | None]:
    """The expression before the activations that lead to ``expr``, and their common limits.

    Not :func:`unary_function`: the bias of a convolution with one output channel is a scalar, too.
    """
    low: float | None = None
    high: float | None = None
    while True:
        call = definitions.get(expr) if isinstance(expr, relax.Var) else None
        limits = activation_limits(call)
        if call is None or limits is None:
            return expr, low, high
        least, most = limits
        low = least if low is None else max(low, least)
        if most is not None:
            high = most if high is None else min(high, most)
        expr = call.args[0]


def _match_anchor(
    source: relax.Expr, definitions: Definitions, output: Quantization, limits: tuple[int, int]
) -> QuantizedOp:
    call = definitions.get(source)
    if call is None:
        raise FloatOperand("a function parameter has no integer kernel")
    name = op_name(call)
    if name in ("add", "multiply") and constant_value(call.args[1], definitions) is None:
        read = _term if name == "add" else dequantized
        operands = tuple(read(arg, definitions) for arg in call.args)
        _check_broadcast(operands)
        return QuantizedOp(name, operands, output, *limits)
    if name == "subtract" and constant_value(call.args[1], definitions) is None:
        operands = tuple(dequantized(arg, definitions) for arg in call.args)
        _check_broadcast(operands)
        return QuantizedOp("add", (operands[0], _negated(operands[1])), output, *limits)
    if name in ("add", "nn.conv2d"):
        convolution = match_convolution(source, definitions)
        if not isinstance(convolution.data, QuantizedTensor) or convolution.weight_scale is None:
            raise FloatOperand("the convolution has a float operand")
        return QuantizedOp("conv2d", (convolution.data,), output, *limits, convolution=convolution)
    if name == "nn.adaptive_avg_pool2d":
        if [int(extent) for extent in call.ty.shape][1:3] != [1, 1]:
            raise NotLowerable("average pooling is lowered for a 1x1 result only")
        check_integer_sum(call)
        return QuantizedOp("mean", (dequantized(call.args[0], definitions),), output, *limits)
    if name == "nn.avg_pool2d":
        averaged, operand = match_average_pooling(call), dequantized(call.args[0], definitions)
        return QuantizedOp("average_pool", (operand,), output, *limits, averaged=averaged)
    if name == "mean":
        kind = "channel_mean" if is_over_channels(call) else "mean"
        if kind == "mean":
            check_integer_sum(call)
        return QuantizedOp(kind, (dequantized(call.args[0], definitions),), output, *limits)
    if name == "image.resize2d" and call.attrs.method == "linear":
        size, aligned = match_bilinear(call)
        data = _same_quantization(call.args[:1], definitions, output, limits)
        return QuantizedOp("bilinear", data, output, size=size, aligned=aligned)
    if name == "image.resize2d":
        size, factor = match_nearest(call)
        data = _same_quantization(call.args[:1], definitions, output, limits)
        kind = "nearest" if factor is None else "upsample"
        return QuantizedOp(kind, data, output, factor=factor, size=size)
    if name == "nn.max_pool2d":
        data = _same_quantization(call.args[:1], definitions, output, limits)
        return QuantizedOp("max_pool", data, output, window=match_pooling(call))
    if name == "max":
        check_channel_maximum(call)
        data = _same_quantization(call.args[:1], definitions, output, limits)
        return QuantizedOp("channel_maximum", data, output)
    if name == "nn.pad":
        data = _same_quantization(call.args[:1], definitions, output, limits)
        border = match_border(call)
        if border.mode == "constant":
            border = replace(border, fill=output.quantized(border.fill))
        return QuantizedOp("border", data, output, border=border)
    if name in REARRANGING:
        return _match_order(source, definitions, output, limits)
    if name == "strided_slice":
        data = _same_quantization(call.args[:1], definitions, output, limits)
        return QuantizedOp("cut", data, output, cut=match_cut(call))
    if name == "concat":
        fields = call.args[0].fields
        if int(call.attrs.axis) != 3:
            raise NotLowerable("concatenation is lowered along channels only")
        return QuantizedOp(
            "concat", _same_quantization(fields, definitions, output, limits), output
        )
    raise NotLowerable(f"{name or 'a function parameter'} has no integer kernel")


def _term(expr: relax.Expr, definitions: Definitions) -> QuantizedTensor:
    """What an add adds: an int8 tensor, or a number times one."""
    call = definitions.get(expr) if isinstance(expr, relax.Var) else None
    if call is None or op_name(call) != "multiply":
        return dequantized(expr, definitions)
    factor = constant_value(call.args[1], definitions)
    if factor is None or factor.size != 1:
        return dequantized(expr, definitions)
    operand = dequantized(call.args[0], definitions)
    scale = operand.quantization.scale * np.float32(factor.item())
    return QuantizedTensor(operand.tensor, Quantization(scale, operand.quantization.zero_point))


def _negated(operand: QuantizedTensor) -> QuantizedTensor:
    """The same bytes as numbers of the other sign."""
    scale, zero_point = operand.quantization.scale, operand.quantization.zero_point
    return QuantizedTensor(operand.tensor, Quantization(-scale, zero_point))


def _match_order(
    source: relax.Expr, definitions: Definitions, output: Quantization, limits: tuple[int, int]
) -> QuantizedOp:
    """A pixel shuffle, which has a kernel of its own, or what else a chain of reshapes makes."""
    if op_name(definitions[source]) == "reshape":
        try:
            shuffle = match_depth_to_space(definitions[source], definitions)
        except NotLowerable:
            shuffle = None
        if shuffle is not None:
            data = _same_quantization([shuffle.data], definitions, output, limits)
            return QuantizedOp("depth_to_space", data, output, shuffle=shuffle)
    operand, arranged = match_rearrangement(source, definitions)
    data = _same_quantization([operand], definitions, output, limits)
    return QuantizedOp("rearrangement", data, output, arranged=arranged)


def _check_broadcast(operands: tuple[QuantizedTensor, ...]) -> None:
    left, right = ([int(e) for e in operand.tensor.ty.shape] for operand in operands)
    pairs = zip(left, right, strict=False)
    if len(left) != len(right) or any(a != b and 1 not in (a, b) for a, b in pairs):
        raise NotLowerable(f"operands of shapes {left} and {right} have no common kernel")


def _same_quantization(
    operands: list[relax.Expr],
    definitions: Definitions,
    output: Quantization,
    limits: tuple[int, int],
) -> tuple[QuantizedTensor, ...]:
    tensors = tuple(dequantized(operand, definitions) for operand in operands)
    if any(tensor.quantization != output for tensor in tensors) or limits != (-128, 127):
        raise NotLowerable("moving bytes needs one quantization for operands and result")
    return tensors
