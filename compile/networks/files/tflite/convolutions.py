"""Convolutions of a .tflite file in PyTorch: weights OHWI there, OIHW here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from compile.networks.files.rounding import product_scales, real_bias
from compile.networks.files.tflite.model import Operator, TensorFacts
from compile.networks.files.tflite.moving import integers, shaped
from compile.networks.files.tflite.scope import Padding, Scope, nhwc
from compile.networks.files.tflite.values import activated, side_padding
from compile.support.errors import MqnetError

aten = torch.ops.aten

_NO_BORDER: Padding = (0, 0, 0, 0)


@dataclass(frozen=True)
class _Convolution:
    """What a convolution computes of a tensor.

    Attributes:
        data: number of the tensor.
        shape: its shape, NHWC, where that is another one than the file's.
        weights: OIHW, int8 or floats.
        scales: of int8 weights, one for each output channel.
        bias: for each output channel: real numbers, or int32 ones that count products.
    """

    data: int
    weights: NDArray
    scales: NDArray[np.float32] | None
    bias: NDArray | None
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    border: Padding = _NO_BORDER
    shape: tuple[int, ...] | None = None


def convolution(scope: Scope, operator: Operator) -> fx.Node:
    """CONV_2D: weights [O, H, W, I]."""
    weights = _weights(scope, operator, 1)
    return _windowed(scope, operator, weights, _values(weights).transpose(0, 3, 1, 2), 0, 1)


def depthwise(scope: Scope, operator: Operator) -> fx.Node:
    """DEPTHWISE_CONV_2D: weights [1, H, W, O]."""
    weights, groups = _weights(scope, operator, 1), scope.tensors[operator.inputs[0]].shape[3]
    return _windowed(scope, operator, weights, _values(weights).transpose(3, 0, 1, 2), 3, groups)


def fully_connected(scope: Scope, operator: Operator) -> fx.Node:
    """FULLY_CONNECTED, as a 1x1 convolution of rows of I numbers: weights [O, I].

    Raises:
        MqnetError: the data are no such rows.
    """
    weights = _weights(scope, operator, 1)
    data, output = (scope.tensors[one] for one in (operator.inputs[0], operator.outputs[0]))
    outputs, inputs = weights.shape
    given, wanted = nhwc(data.shape), nhwc(output.shape)
    rows, left = divmod(int(np.prod(given)), inputs)
    if left:
        raise MqnetError(f"{output.name} is a dense layer of {inputs} over {list(data.shape)}")
    in_rows = given if given[3] == inputs else (1, 1, rows, inputs)
    values = _values(weights).reshape(outputs, inputs, 1, 1)
    result = _convolved(
        scope,
        operator,
        _Convolution(
            operator.inputs[0],
            values,
            _scales(weights, outputs, 0),
            _bias(scope, operator, 2),
            shape=in_rows,
        ),
    )
    before = (*in_rows[:3], outputs)
    if before != wanted:
        result = scope.settled(operator.outputs[0], result)
    return shaped(scope, result, before, wanted)


def transposed(scope: Scope, operator: Operator) -> fx.Node:
    """TRANSPOSE_CONV, as a convolution to all pixels of a block, a pixel shuffle, and a border that
    is cut off: weights [O, H, W, I].

    With s rows in a block, the kernel is taken for one of m * s rows, the last of them 0: m inputs
    reach a pixel, of 2 the last is multiplied by the kernel's row i, the one before it by row i + s
    (as in compile/quantize/replace_modules.py).

    Raises:
        MqnetError: the strides differ.
    """
    options, output = operator.options, scope.tensors[operator.outputs[0]]
    weights, side = _weights(scope, operator, 1), int(options.strideH)
    if options.strideW != side:
        raise MqnetError(f"{output.name} has strides that differ by axis: choose one")
    given = _values(weights)
    outputs, *kernel, inputs = given.shape
    taps = [-(-extent // side) for extent in kernel]
    filled = np.zeros((outputs, taps[0] * side, taps[1] * side, inputs), given.dtype)
    filled[:, : kernel[0], : kernel[1]] = given
    parts = filled.reshape(outputs, taps[0], side, taps[1], side, inputs)[:, ::-1, :, ::-1]
    values = parts.transpose(0, 2, 4, 5, 1, 3).reshape(outputs * side**2, inputs, *taps)
    scales, bias = _scales(weights, outputs, 0), _bias(scope, operator, 3)
    above, before = (extent - 1 for extent in taps)
    result = _convolved(
        scope,
        operator,
        _Convolution(
            operator.inputs[2],
            values,
            None if scales is None else scales.repeat(side**2),
            None if bias is None else bias.repeat(side**2),
            border=(above, above, before, before),
        ),
    )
    if side > 1:
        settled = scope.settled(operator.outputs[0], result)
        result = scope.builder.call(aten.pixel_shuffle.default, settled, side)
    return _cut(scope, operator, result, kernel, side)


def _cut(
    scope: Scope, operator: Operator, result: fx.Node, kernel: list[int], side: int
) -> fx.Node:
    """What TRANSPOSE_CONV leaves of all that its kernel reaches."""
    name = scope.tensors[operator.outputs[0]].name
    before = nhwc(scope.tensors[operator.inputs[2]].shape)[1:3]
    after = integers(scope, operator, 0)[1:3]
    for axis, (extent, wanted, reach) in enumerate(zip(before, after, kernel, strict=True), 2):
        whole = (extent - 1 + -(-reach // side)) * side
        missing = (extent - 1) * side + reach - wanted
        first = max(missing, 0) // 2 if operator.options.padding == 0 else 0
        if first + wanted > whole:
            raise MqnetError(f"{name} has pixels that no input reaches: convert with padding SAME")
        if (first, wanted) != (0, whole):
            result = scope.settled(operator.outputs[0], result)
            result = scope.builder.call(aten.slice.Tensor, result, axis, first, first + wanted, 1)
    return result


def _windowed(
    scope: Scope, operator: Operator, weights: TensorFacts, values: NDArray, axis: int, groups: int
) -> fx.Node:
    """A convolution with weights OIHW, whose scales are along ``axis``."""
    options: Any = operator.options
    source, border = scope.padded(operator.inputs[0])
    dilation = (options.dilationHFactor, options.dilationWFactor)
    sides = side_padding(scope, operator, (values.shape[2], values.shape[3]), dilation)
    top, bottom, left, right = (a + b for a, b in zip(border, sides, strict=True))
    return _convolved(
        scope,
        operator,
        _Convolution(
            source,
            values,
            _scales(weights, len(values), axis),
            _bias(scope, operator, 2),
            (options.strideH, options.strideW),
            dilation,
            groups,
            (top, bottom, left, right),
        ),
    )


def _convolved(scope: Scope, operator: Operator, made: _Convolution) -> fx.Node:
    """The result of a convolution, behind its activation."""
    given, output = scope.tensors[made.data], scope.tensors[operator.outputs[0]]
    scales, data = made.scales, scope.real(made.data)
    unit = given.quantized.scale if given.is_int8 else None
    if scales is not None and unit is not None and output.is_int8:
        unit, scales = product_scales(unit, scales, output.quantized.scale)
        data = scope.at_scale(made.data, unit)
    bias = _real_bias(scope, operator, made.bias, unit, scales)
    if scales is None:
        weight = scope.builder.constant(torch.from_numpy(made.weights.astype(np.float32)))
    else:
        weight = scope.builder.weights(made.weights, scales)
    if made.shape is not None:
        data = shaped(scope, data, nhwc(given.shape), made.shape)
    data, padding = _bordered(scope, data, made.border)
    result = scope.builder.call(
        aten.conv2d.default, data, weight, bias, list(made.stride), list(padding),
        list(made.dilation), made.groups,
    )  # fmt: skip
    return activated(scope, operator, result)


def _weights(scope: Scope, operator: Operator, place: int) -> TensorFacts:
    constant = scope.constant(operator.inputs[place])
    if constant is None or constant.constant is None:
        name = scope.tensors[operator.outputs[0]].name
        raise MqnetError(
            f"{name} has weights that are computed: convert the network with constants"
        )
    return constant


def _values(weights: TensorFacts) -> NDArray:
    assert weights.constant is not None
    return weights.constant


def _bordered(scope: Scope, data: fx.Node, border: Padding) -> tuple[fx.Node, tuple[int, int]]:
    """The input and what the convolution itself pads, rows and columns on each side."""
    top, bottom, left, right = border
    if (top, left) == (bottom, right):
        return data, (top, left)
    return scope.builder.call(aten.pad.default, data, [left, right, top, bottom]), (0, 0)


def _bias(scope: Scope, operator: Operator, place: int) -> NDArray | None:
    if len(operator.inputs) <= place or operator.inputs[place] < 0:
        return None
    constant, name = scope.constant(operator.inputs[place]), scope.tensors[operator.outputs[0]].name
    if constant is None or constant.constant is None:
        raise MqnetError(f"{name} has a bias that is computed: convert the network with constants")
    return constant.constant


def _real_bias(
    scope: Scope, operator: Operator, bias: NDArray | None, unit: float | None,
    scales: NDArray[np.float32] | None,
) -> fx.Node | None:  # fmt: skip
    """In real numbers: int32 ones count products of a ``unit`` of the data and of the weights'
    ``scales``; None where those are floats."""
    if bias is None:
        return None
    output = scope.tensors[operator.outputs[0]]
    if bias.dtype == np.int32:
        if scales is None or unit is None:
            raise MqnetError(f"{output.name} has an int32 bias and float weights or data")
        units = np.float64(unit) * scales.astype(np.float64)
        real = real_bias(bias, units, output.quantized.scale if output.is_int8 else None)
        if real is None:
            raise MqnetError(f"{output.name} has a bias of more than 24 bits: its weights are tiny")
        bias = real
    return scope.builder.constant(torch.from_numpy(bias.astype(np.float32)))


def _scales(weights: TensorFacts, channels: int, axis: int) -> NDArray[np.float32] | None:
    """One for each output channel; None of floats.

    Raises:
        MqnetError: zero points are not 0, or the scales are along another axis.
    """
    if weights.dtype != "INT8":
        return None
    if weights.zero_points.any():
        raise MqnetError(f"weights {weights.name} have zero points: quantize them symmetrically")
    if weights.scales.size == 1:
        return np.full(channels, weights.scales[0], np.float32)
    if weights.scales.size != channels or weights.axis != axis:
        raise MqnetError(
            f"weights {weights.name} have {weights.scales.size} scales along axis {weights.axis}: "
            "one for each output channel is taken"
        )
    return weights.scales
