"""Functions of one tensor of a .tflite file in PyTorch: of bytes tables that LiteRT gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx

from compile.networks.files.graph_builder import Quantized
from compile.networks.files.tflite.ask_litert import ask_litert
from compile.networks.files.tflite.model import Operator
from compile.networks.files.tflite.scope import Scope, nhwc
from compile.support.errors import MqnetError

aten = torch.ops.aten

_FROM_ZERO = Quantized(1.0, -128)
_AS_IT_IS = Quantized(1.0, 0)


def put_table(scope: Scope, operator: Operator) -> None:
    """Put the result of ``operator``, of int8 tensors of which one alone is computed.

    Raises:
        MqnetError: a constant operand is neither a number nor one for each channel.
    """
    output, builder = operator.outputs[0], scope.builder
    inputs = [scope.constant(index) or scope.tensors[index] for index in operator.inputs]
    (data,) = (index for index in operator.inputs if scope.constant(index) is None)
    channels = (
        max(one.constant.size for one in inputs if one.constant is not None)
        if len(inputs) > 1
        else 1
    )
    shape = nhwc(scope.tensors[data].shape)
    if channels not in (1, shape[3]) or nhwc(scope.tensors[output].shape) != shape:
        raise MqnetError(
            f"{scope.tensors[output].name} has {channels} constants for {shape[3]} channels: one "
            "number, or one for each channel is taken"
        )
    numbers = ask_litert(operator, inputs, scope.tensors[output], channels)
    table = builder.constant(torch.from_numpy(numbers.astype(np.float32).ravel()))
    place = builder.dequantize(scope.bytes(data), _FROM_ZERO)
    if channels > 1:
        first = torch.arange(channels, dtype=torch.float32).reshape(1, -1, 1, 1) * numbers.shape[1]
        place = builder.call(aten.add.Tensor, place, builder.constant(first))
    place = builder.call(aten.to.dtype, place, torch.int64)
    found = builder.call(aten.take.default, table, place)
    scope.put_bytes(output, builder.quantize(found, _AS_IT_IS))


def function(of_floats: Any, *names: str) -> Callable[[Scope, Operator], fx.Node | None]:
    """PyTorch's function ``of_floats``, which takes the options called ``names``; of bytes
    LiteRT's."""

    def convert(scope: Scope, operator: Operator) -> fx.Node | None:
        if scope.tensors[operator.outputs[0]].is_int8:
            put_table(scope, operator)
            return None
        options = [getattr(operator.options, name) for name in names]
        return scope.builder.call(of_floats, scope.real(operator.inputs[0]), *options)

    return convert


def clamp(scope: Scope, operator: Operator) -> fx.Node | None:
    """RELU_N1_TO_1."""
    if scope.tensors[operator.outputs[0]].is_int8:
        put_table(scope, operator)
        return None
    return scope.builder.call(aten.hardtanh.default, scope.real(operator.inputs[0]), -1.0, 1.0)


def gelu(scope: Scope, operator: Operator) -> fx.Node | None:
    """GELU."""
    if scope.tensors[operator.outputs[0]].is_int8:
        put_table(scope, operator)
        return None
    node = scope.builder.call(aten.gelu.default, scope.real(operator.inputs[0]))
    node.kwargs = {"approximate": "tanh" if operator.options.approximate else "none"}
    return node


def prelu(scope: Scope, operator: Operator) -> fx.Node | None:
    """PRELU, with one slope, or one for each channel.

    Raises:
        MqnetError: the slopes are of another shape, or computed.
    """
    output = scope.tensors[operator.outputs[0]]
    slopes = scope.constant(operator.inputs[1])
    if slopes is None or nhwc(slopes.shape)[:3] != (1, 1, 1):
        raise MqnetError(
            f"{output.name} has slopes that are computed or differ by pixel: one for each channel "
            "is taken (share axes 1 and 2)"
        )
    if output.is_int8:
        put_table(scope, operator)
        return None
    values = scope.builder.constant(torch.from_numpy(slopes.real.ravel().copy()))
    return scope.builder.call(aten.prelu.default, scope.real(operator.inputs[0]), values)
