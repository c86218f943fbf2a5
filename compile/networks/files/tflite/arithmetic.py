"""Arithmetic of two tensors of a .tflite file, or of one and a constant, in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx

from compile.networks.files.graph_builder import Quantized
from compile.networks.files.rounding import line_through, product_scales, sum_scales, xnnpack_sum
from compile.networks.files.tflite.model import Operator
from compile.networks.files.tflite.scope import Scope
from compile.networks.files.tflite.tables import put_table
from compile.networks.files.tflite.values import activated, each_channel
from compile.support.errors import MqnetError

aten = torch.ops.aten

_BYTES = np.arange(-128, 128, dtype=np.int64)


def add(scope: Scope, operator: Operator) -> fx.Node:
    """ADD."""
    return _summed(scope, operator, 1)


def subtract(scope: Scope, operator: Operator) -> fx.Node | None:
    """SUB, also from a constant."""
    if scope.constant(operator.inputs[0]) is None:
        return _summed(scope, operator, -1)
    return _from_constant(scope, operator, aten.sub.Tensor)


def divide(scope: Scope, operator: Operator) -> fx.Node:
    """DIV, which LiteRT has in float only.

    Raises:
        MqnetError: it is of bytes.
    """
    output = scope.tensors[operator.outputs[0]]
    if output.is_int8:
        raise MqnetError(f"{output.name} divides bytes, which LiteRT does not either: multiply")
    nodes = [_operand(scope, operator, index) for index in operator.inputs]
    return activated(scope, operator, scope.builder.call(aten.div.Tensor, *nodes))


def larger(function: Any) -> Callable[[Scope, Operator], fx.Node | None]:
    """MAXIMUM or MINIMUM, PyTorch's ``function``: of bytes by one scale they compare the bytes."""

    def convert(scope: Scope, operator: Operator) -> fx.Node | None:
        constants = [scope.constant(index) is not None for index in operator.inputs]
        output = scope.tensors[operator.outputs[0]]
        if any(constants):
            return _from_constant(scope, operator, function)
        both = [scope.tensors[index] for index in operator.inputs]
        if output.is_int8 and any(one.quantized != output.quantized for one in both):
            raise MqnetError(f"{output.name} compares bytes by several scales: quantize alike")
        return scope.builder.call(function, *map(scope.real, operator.inputs))

    return convert


def multiply(scope: Scope, operator: Operator) -> fx.Node:
    """MUL."""
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


def _from_constant(scope: Scope, operator: Operator, function: Any) -> fx.Node | None:
    """PyTorch's ``function`` of a constant and a tensor, in either order; of bytes a table."""
    if scope.tensors[operator.outputs[0]].is_int8:
        put_table(scope, operator)
        return None
    nodes = [_operand(scope, operator, index) for index in operator.inputs]
    result = scope.builder.call(function, *nodes)
    return activated(scope, operator, result) if function is aten.sub.Tensor else result


def _operand(scope: Scope, operator: Operator, index: int) -> fx.Node:
    constant = scope.constant(index)
    if constant is None:
        return scope.real(index)
    value = each_channel(scope, operator, constant.real)
    return value if isinstance(value, fx.Node) else scope.builder.constant(torch.tensor(value))


def _summed(scope: Scope, operator: Operator, sign: int) -> fx.Node:
    """The sum of two tensors, or with ``sign`` -1 their difference."""
    left, right = operator.inputs
    function = aten.add.Tensor if sign == 1 else aten.sub.Tensor
    if scope.constant(left) is not None:
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
