"""What several operators of a .tflite file share: constants, activations and paddings."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from compile.networks.files.graph_builder import Quantized
from compile.networks.files.tflite.model import Operator
from compile.networks.files.tflite.scope import Padding, Scope, nhwc
from compile.support.errors import MqnetError

aten = torch.ops.aten

_SAME = 0
"""The padding with which the result has the input's size divided by the stride, rounded up."""

_RELU, _RELU_N1_TO_1, _RELU6 = 1, 2, 3
_LIMITS = {_RELU: (0.0, float("inf")), _RELU_N1_TO_1: (-1.0, 1.0), _RELU6: (0.0, 6.0)}


def each_channel(scope: Scope, operator: Operator, real: NDArray[np.float32]) -> fx.Node | float:
    """A constant operand: a number, or one for each channel.

    Raises:
        MqnetError: it has another shape.
    """
    if real.size == 1:
        return float(real.item())
    shape = nhwc(real.shape)
    if shape[:3] != (1, 1, 1):
        name = scope.tensors[operator.outputs[0]].name
        raise MqnetError(
            f"{name} has a constant operand {list(real.shape)}: one number, or one for each "
            "channel is taken"
        )
    return scope.builder.constant(torch.from_numpy(real.reshape(1, -1, 1, 1).copy()))


def activated(scope: Scope, operator: Operator, result: fx.Node) -> fx.Node:
    """``result`` behind the activation that belongs to ``operator``.

    Raises:
        MqnetError: it is one that is not known.
    """
    tensor = scope.tensors[operator.outputs[0]]
    kind = _activation(scope, operator)
    if kind == 0:
        return result
    if kind == _RELU:
        return scope.builder.call(aten.relu.default, result)
    low, high = _LIMITS[kind]
    if tensor.is_int8:
        y = tensor.quantized
        low, high = (float(y.real(_byte(one, y))) for one in (low, high))
    return scope.builder.call(aten.hardtanh.default, result, low, high)


def activation_limits(scope: Scope, operator: Operator) -> tuple[int, int] | None:
    """The least and the largest byte of an int8 result behind the activation that belongs to
    ``operator``; None where it has none.

    Raises:
        MqnetError: it is one that is not known.
    """
    kind, of = _activation(scope, operator), scope.tensors[operator.outputs[0]].quantized
    if kind == 0:
        return None
    low, high = _LIMITS[kind]
    return int(_byte(low, of)), int(_byte(high, of))


def _activation(scope: Scope, operator: Operator) -> int:
    kind: int = operator.options.fusedActivationFunction
    if kind != 0 and kind not in _LIMITS:
        name = scope.tensors[operator.outputs[0]].name
        raise MqnetError(f"{name} has an activation of kind {kind}, which is not known")
    return kind


def _byte(real: float, of: Quantized) -> NDArray[np.float32]:
    """LiteRT divides by the scale, and the compiler multiplies by its inverse."""
    return np.clip(np.rint(np.float32(real) / np.float32(of.scale)) + of.zero_point, -128, 127)


def side_padding(
    scope: Scope, operator: Operator, window: tuple[int, int], dilation: tuple[int, int]
) -> Padding:
    """Rows above and below and columns before and behind the input of ``operator``."""
    options = operator.options
    if options.padding != _SAME:
        return 0, 0, 0, 0
    sides: list[int] = []
    extents = scope.tensors[operator.inputs[0]].shape[1:3]
    steps = options.strideH, options.strideW
    for extent, stride, taps, apart in zip(extents, steps, window, dilation, strict=True):
        reach = (-(-extent // stride) - 1) * stride + (taps - 1) * apart + 1
        missing = max(reach - extent, 0)
        sides += [missing // 2, missing - missing // 2]
    top, bottom, left, right = sides
    return top, bottom, left, right
