"""What each operator of a .tflite file is in PyTorch.

Each function writes its operator into the scope's graph and returns the result in real numbers, or
None where it has put the result itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from compile.networks.files.graph_builder import Quantized
from compile.networks.files.rounding import (
    line_through,
    product_scales,
    sum_scales,
    xnnpack_rescale,
    xnnpack_sum,
)
from compile.networks.files.tflite.convolutions import convolution, depthwise, fully_connected
from compile.networks.files.tflite.model import Operator
from compile.networks.files.tflite.scope import Padding, Scope, nhwc
from compile.networks.files.tflite.values import activated, each_channel, window_padding
from compile.support.errors import MqnetError

aten = torch.ops.aten

_BYTES = np.arange(-128, 128, dtype=np.int64)


def _add(scope: Scope, operator: Operator) -> fx.Node:
    return _summed(scope, operator, 1)


def _subtract(scope: Scope, operator: Operator) -> fx.Node:
    return _summed(scope, operator, -1)


def _summed(scope: Scope, operator: Operator, sign: int) -> fx.Node:
    """The sum of two tensors, or with ``sign`` -1 their difference."""
    left, right = operator.inputs
    function = aten.add.Tensor if sign == 1 else aten.sub.Tensor
    if scope.constant(left) is not None:
        if sign == -1:
            raise MqnetError(
                f"{scope.tensors[operator.outputs[0]].name} subtracts from a constant, which is "
                "not taken: negate and add"
            )
        left, right = right, left
    if scope.constant(right) is not None:
        return activated(scope, operator, _sum_with_constant(scope, operator, left, right, sign))
    nodes = scope.real(left), scope.real(right)
    if scope.tensors[operator.outputs[0]].is_int8:
        a, b, y = _parameters(scope, left, right, operator.outputs[0])
        negated = Quantized(sign * b.scale, b.zero_point)
        first, second, _ = sum_scales((a, negated, y))
        nodes = scope.at_scale(left, first), scope.at_scale(right, sign * second)
    return activated(scope, operator, scope.builder.call(function, *nodes))


def _sum_with_constant(
    scope: Scope, operator: Operator, left: int, right: int, sign: int
) -> fx.Node:
    data, constant = scope.real(left), _constant(scope, right)
    real = sign * constant.real
    if scope.tensors[operator.outputs[0]].is_int8:
        a, b, y = _parameters(scope, left, right, operator.outputs[0])
        negated = Quantized(sign * b.scale, b.zero_point)

        def shifted(byte: int, number: float) -> tuple[float, float]:
            table = xnnpack_sum(_BYTES, np.int64(byte), (a, negated, y))  # type: ignore[arg-type]
            return line_through(table, a, y, 1.0, number)[:2]

        assert constant.constant is not None
        lines = [
            shifted(int(byte), float(number))
            for byte, number in zip(constant.constant.ravel(), real.ravel(), strict=True)
        ]
        real = np.array([shift for _, shift in lines], np.float32).reshape(real.shape)
    return scope.builder.call(aten.add.Tensor, data, each_channel(scope, operator, real))


def _multiply(scope: Scope, operator: Operator) -> fx.Node:
    left, right = operator.inputs
    if scope.constant(left) is not None:
        left, right = right, left
    output = operator.outputs[0]
    if scope.constant(right) is not None:
        return activated(scope, operator, _product_with_constant(scope, operator, left, right))
    nodes = scope.real(left), scope.real(right)
    if scope.tensors[output].is_int8:
        a, b, y = _parameters(scope, left, right, output)
        second, (first,) = product_scales(b.scale, np.array([a.scale], np.float32), y.scale)
        # Two nodes, also of a square: two operands, and no table.
        nodes = scope.at_scale(left, float(first)), scope.at_scale(right, second)
    return activated(scope, operator, scope.builder.call(aten.mul.Tensor, *nodes))


def _product_with_constant(scope: Scope, operator: Operator, left: int, right: int) -> fx.Node:
    data, constant = scope.real(left), _constant(scope, right)
    factors, shifts = constant.real, np.zeros(constant.real.shape, np.float32)
    if scope.tensors[operator.outputs[0]].is_int8:
        a, b, y = _parameters(scope, left, right, operator.outputs[0])
        multiplier = np.float32(a.scale) * np.float32(b.scale) / np.float32(y.scale)
        assert constant.constant is not None
        centred = constant.constant.astype(np.int64).ravel() - b.zero_point
        for place, byte in enumerate(centred):
            product = ((_BYTES - a.zero_point) * byte).astype(np.float32) * multiplier
            table = np.clip(np.rint(product) + y.zero_point, -128, 127).astype(np.int64)
            factor = float(factors.ravel()[place])
            shifts.ravel()[place] = line_through(table, a, y, factor, 0.0)[1]
    product = scope.builder.call(aten.mul.Tensor, data, each_channel(scope, operator, factors))
    if not shifts.any():
        return product
    return scope.builder.call(aten.add.Tensor, product, each_channel(scope, operator, shifts))


def _parameters(
    scope: Scope, left: int, right: int, output: int
) -> tuple[Quantized, Quantized, Quantized]:
    a, b, y = (scope.tensors[index].quantized for index in (left, right, output))
    return a, b, y


def _constant(scope: Scope, index: int) -> Any:
    constant = scope.constant(index)
    assert constant is not None
    return constant


def _mean(scope: Scope, operator: Operator) -> fx.Node:
    axes = _integers(scope, operator, 1)
    rank = len(scope.tensors[operator.inputs[0]].shape)
    if sorted(int(axis) % rank for axis in axes) != [rank - 3, rank - 2] or rank != 4:
        name = scope.tensors[operator.outputs[0]].name
        raise MqnetError(f"{name} is a mean over axes {axes}: one over height and width is taken")
    return scope.builder.call(
        aten.adaptive_avg_pool2d.default, scope.real(operator.inputs[0]), [1, 1]
    )


def _integers(scope: Scope, operator: Operator, place: int) -> list[int]:
    constant = scope.constant(operator.inputs[place])
    if constant is None or constant.constant is None:
        name = scope.tensors[operator.outputs[0]].name
        raise MqnetError(f"{name} has a dynamic shape: convert for a fixed size")
    return [int(number) for number in constant.constant.ravel()]


def _concat(scope: Scope, operator: Operator) -> fx.Node:
    output = operator.outputs[0]
    rank = len(scope.tensors[output].shape)
    axis = operator.options.axis % rank
    sources = {scope.moved(index)[0] for index in operator.inputs}
    if len(sources) == 1 and len(operator.inputs) > 1:
        origins = [scope.moved(index)[1] for index in operator.inputs]
        scope.put_moved(output, sources.pop(), np.concatenate(origins, axis))
    parts = [_rescaled(scope, index, output) for index in operator.inputs]
    channel_axis = {3: 1, 2: 3, 1: 2, 0: 0}[axis + 4 - rank]
    return activated(scope, operator, scope.builder.call(aten.cat.default, parts, channel_axis))


def _rescaled(scope: Scope, index: int, output: int) -> fx.Node:
    """Tensor ``index`` by the scale of tensor ``output``."""
    constant = scope.constant(index)
    if constant is not None:
        values = torch.from_numpy(constant.real.reshape(nhwc(constant.shape)).copy())
        return scope.builder.constant(values.permute(0, 3, 1, 2).contiguous())
    data, tensor = scope.real(index), scope.tensors[output]
    if tensor.is_int8 and scope.tensors[index].quantized != tensor.quantized:
        quantized = scope.builder.quantize(data, tensor.quantized)
        return scope.builder.dequantize(quantized, tensor.quantized)
    return data


def _reshape(scope: Scope, operator: Operator) -> fx.Node:
    data, output = operator.inputs[0], operator.outputs[0]
    before, after = (nhwc(scope.tensors[index].shape) for index in (data, output))
    source, origins = scope.moved(data)
    origins = origins.reshape(scope.tensors[output].shape)
    scope.put_moved(output, source, origins)
    if before == after:
        return scope.real(data)
    factor = _repetition(nhwc(scope.tensors[source].shape), origins)
    if factor is not None:
        return _upsampled(scope, source, factor)
    rows = scope.builder.call(aten.permute.default, scope.real(data), [0, 2, 3, 1])
    rows = scope.builder.call(aten.reshape.default, rows, list(after))
    return scope.builder.call(aten.permute.default, rows, [0, 3, 1, 2])


def _repetition(shape: tuple[int, ...], origins: NDArray[np.int32]) -> int | None:
    """By which factor ``origins`` repeat each pixel of a tensor of ``shape``, or None where they do
    something else."""
    _, height, width, channels = shape
    if origins.ndim != 4 or origins.shape[3] != channels or origins.shape[1] % height:
        return None
    factor = origins.shape[1] // height
    if factor < 2 or origins.shape[2] != factor * width:
        return None
    expected = np.arange(height * width * channels, dtype=np.int32).reshape(shape)
    repeated = expected.repeat(factor, 1).repeat(factor, 2)
    return factor if np.array_equal(repeated, origins) else None


def _upsampled(scope: Scope, source: int, factor: int) -> fx.Node:
    factors = [float(factor)] * 2
    return scope.builder.call(aten.upsample_nearest2d.vec, scope.real(source), None, factors)


def _resize_nearest(scope: Scope, operator: Operator) -> fx.Node:
    data, output = operator.inputs[0], operator.outputs[0]
    (_, *before, _), (_, *after, _) = (scope.tensors[index].shape for index in (data, output))
    factors = {new / old for old, new in zip(before, after, strict=True)}
    factor = factors.pop()
    if factors or factor % 1 or operator.options.alignCorners:
        name = scope.tensors[output].name
        raise MqnetError(f"{name} is resized from {before} to {after}: a whole factor is taken")
    return _upsampled(scope, data, int(factor))


def _pad(scope: Scope, operator: Operator) -> fx.Node:
    data, output = operator.inputs[0], operator.outputs[0]
    widths = np.array(_integers(scope, operator, 1)).reshape(-1, 2)
    name = scope.tensors[output].name
    if len(widths) != 4 or widths[0].any():
        raise MqnetError(f"{name} is padded by {widths.tolist()}: rows, columns and channels are")
    _, (top, bottom), (left, right), (front, back) = widths.tolist()
    inner, around = scope.padded(data)
    if not front and not back:
        border: Padding = (
            around[0] + top, around[1] + bottom, around[2] + left, around[3] + right,
        )  # fmt: skip
        scope.put_padded(output, inner, border)
    given = [left, right, top, bottom, front, back]
    return scope.builder.call(aten.pad.default, scope.real(data), given)


def _quantize(scope: Scope, operator: Operator) -> fx.Node | None:
    data, output = operator.inputs[0], operator.outputs[0]
    before, after = scope.tensors[data], scope.tensors[output]
    if before.dtype not in ("INT8", "UINT8"):
        return scope.real(data)
    x, y = before.quantized, after.quantized
    if x == y:
        scope.put_bytes(output, scope.bytes(data))
        return None
    table = xnnpack_rescale(x, y)
    multiplier = round(float(np.float32(x.scale) / np.float32(y.scale)) * 256) / 256
    factor = float(np.float32(multiplier * y.scale / x.scale))
    factor, shift, _ = line_through(table, x, y, factor, 0.0)
    scaled = scope.builder.call(aten.mul.Tensor, scope.real(data), factor)
    return scope.builder.call(aten.add.Tensor, scaled, shift)


def _dequantize(scope: Scope, operator: Operator) -> fx.Node | None:
    (data,), (output,) = operator.inputs, operator.outputs
    constant = scope.constant(data)
    if constant is None:
        return scope.real(data)
    scope.put_constant(output, constant)
    return None


def _unary(function: Any) -> Callable[[Scope, Operator], fx.Node]:
    def convert(scope: Scope, operator: Operator) -> fx.Node:
        return scope.builder.call(function, scope.real(operator.inputs[0]))

    return convert


def _relu6(scope: Scope, operator: Operator) -> fx.Node:
    return scope.builder.call(aten.hardtanh.default, scope.real(operator.inputs[0]), 0.0, 6.0)


def _max_pool(scope: Scope, operator: Operator) -> fx.Node:
    options, padding = operator.options, window_padding(scope, operator)
    result = scope.builder.call(
        aten.max_pool2d.default,
        scope.real(operator.inputs[0]),
        [options.filterHeight, options.filterWidth],
        [options.strideH, options.strideW],
        list(padding),
    )
    return activated(scope, operator, result)


OPERATORS: dict[str, Callable[[Scope, Operator], fx.Node | None]] = {
    "ADD": _add,
    "CONCATENATION": _concat,
    "CONV_2D": convolution,
    "DEPTHWISE_CONV_2D": depthwise,
    "DEQUANTIZE": _dequantize,
    "FULLY_CONNECTED": fully_connected,
    "LOGISTIC": _unary(aten.sigmoid.default),
    "MAX_POOL_2D": _max_pool,
    "MEAN": _mean,
    "MUL": _multiply,
    "PAD": _pad,
    "QUANTIZE": _quantize,
    "RELU": _unary(aten.relu.default),
    "RELU6": _relu6,
    "RESHAPE": _reshape,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "RSQRT": _unary(aten.rsqrt.default),
    "SUB": _subtract,
    "TANH": _unary(aten.tanh.default),
}
"""By the name of the format; what is not here is refused."""
