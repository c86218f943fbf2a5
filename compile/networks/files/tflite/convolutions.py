"""Convolutions of a .tflite file in PyTorch: weights OHWI there, OIHW here."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from compile.networks.files.rounding import product_scales, real_bias
from compile.networks.files.tflite.model import Operator, TensorFacts
from compile.networks.files.tflite.scope import Padding, Scope, nhwc
from compile.networks.files.tflite.values import activated, side_padding
from compile.support.errors import MqnetError

aten = torch.ops.aten


def convolution(scope: Scope, operator: Operator) -> fx.Node:
    """CONV_2D: weights [O, H, W, I]."""
    weights = _weights(scope, operator)
    return _convolved(scope, operator, weights, (0, 3, 1, 2), 0, 1)


def depthwise(scope: Scope, operator: Operator) -> fx.Node:
    """DEPTHWISE_CONV_2D: weights [1, H, W, O]."""
    groups = scope.tensors[operator.inputs[0]].shape[3]
    return _convolved(scope, operator, _weights(scope, operator), (3, 0, 1, 2), 3, groups)


def fully_connected(scope: Scope, operator: Operator) -> fx.Node:
    """FULLY_CONNECTED of one pixel's channels, as a convolution: weights [O, I]."""
    weights, data = _weights(scope, operator), scope.tensors[operator.inputs[0]]
    if nhwc(data.shape)[:3] != (1, 1, 1) or data.shape[-1] != weights.shape[1]:
        raise MqnetError(
            f"{scope.tensors[operator.outputs[0]].name} is a dense layer over {list(data.shape)}: "
            "one over the channels of one pixel is taken"
        )
    return _convolved(scope, operator, weights, (0, 1), 0, 1)


def _weights(scope: Scope, operator: Operator) -> TensorFacts:
    constant = scope.constant(operator.inputs[1])
    if constant is None:
        name = scope.tensors[operator.outputs[0]].name
        raise MqnetError(
            f"{name} has weights that are computed: convert the network with constants"
        )
    return constant


def _convolved(
    scope: Scope, operator: Operator, weights: TensorFacts, order: tuple[int, ...], axis: int,
    groups: int,
) -> fx.Node:  # fmt: skip
    values = weights.constant
    assert values is not None
    values = values.transpose(order)
    values = values.reshape(values.shape + (1, 1) * (len(order) == 2))
    source, border = scope.padded(operator.inputs[0])
    options: Any = operator.options
    stride = [getattr(options, "strideH", 1), getattr(options, "strideW", 1)]
    dilation = (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1))
    if len(order) == 4:
        window: tuple[int, int] = values.shape[2:4]  # type: ignore[assignment]
        sides = side_padding(scope, operator, window, dilation)
        border = tuple(a + b for a, b in zip(border, sides, strict=True))  # type: ignore[assignment]
    given, output = scope.tensors[source], scope.tensors[operator.outputs[0]]
    scales, data = None, scope.real(source)
    unit = given.quantized.scale if given.is_int8 else None
    if weights.dtype == "INT8":
        scales = _scales(weights, len(values), axis)
        if unit is not None and output.is_int8:
            unit, scales = product_scales(unit, scales, output.quantized.scale)
            data = scope.at_scale(source, unit)
    bias = _bias(scope, operator, unit, scales)
    if scales is None:
        weight = scope.builder.constant(torch.from_numpy(values.astype(np.float32)))
    else:
        weight = scope.builder.weights(values, scales)
    data, padding = _bordered(scope, data, border)
    result = scope.builder.call(
        aten.conv2d.default, data, weight, bias, stride, list(padding), list(dilation), groups
    )
    return activated(scope, operator, result)


def _bordered(scope: Scope, data: fx.Node, border: Padding) -> tuple[fx.Node, tuple[int, int]]:
    """The input and what the convolution itself pads, rows and columns on each side."""
    top, bottom, left, right = border
    if (top, left) == (bottom, right):
        return data, (top, left)
    return scope.builder.call(aten.pad.default, data, [left, right, top, bottom]), (0, 0)


def _bias(
    scope: Scope, operator: Operator, unit: float | None, scales: NDArray[np.float32] | None
) -> fx.Node | None:
    """In real numbers: int32 ones count products of a ``unit`` of the data and of the weights'
    ``scales``; None where those are floats."""
    if len(operator.inputs) < 3 or operator.inputs[2] < 0:
        return None
    constant, name = scope.constant(operator.inputs[2]), scope.tensors[operator.outputs[0]].name
    if constant is None or constant.constant is None:
        raise MqnetError(f"{name} has a bias that is computed: convert the network with constants")
    bias = constant.constant
    if constant.dtype == "INT32":
        if scales is None or unit is None:
            raise MqnetError(f"{name} has an int32 bias and float weights or data")
        units = np.float64(unit) * scales.astype(np.float64)
        output = scope.tensors[operator.outputs[0]]
        real = real_bias(bias, units, output.quantized.scale if output.is_int8 else None)
        if real is None:
            raise MqnetError(f"{name} has a bias of more than 24 bits: its weights are tiny")
        bias = real
    return scope.builder.constant(torch.from_numpy(bias.astype(np.float32)))


def _scales(weights: TensorFacts, channels: int, axis: int) -> NDArray[np.float32]:
    """One for each output channel.

    Raises:
        MqnetError: zero points are not 0, or the scales are along another axis.
    """
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
