"""Convolutions of an ONNX file in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from compile.networks.files.onnx.scope import QuantizedConstant, Scope, Step
from compile.networks.files.rounding import product_scales, real_bias
from compile.support.errors import MqnetError

aten = torch.ops.aten


def convolution(scope: Scope, step: Step) -> fx.Node:
    """Conv: NCHW, OIHW."""
    weights = scope.constant(step.input(1))
    if weights is None:
        scope.numbers(step, 1)
    data = scope.real(step.inputs[0])
    scales, unit = None, None
    if isinstance(weights, QuantizedConstant):
        values = weights.values
        scales = _scales(step, weights)
        origin, output = scope.origin(step.inputs[0]), scope.result_quantized(step)
        if origin is not None:
            unit = origin.quantized.scale
        if origin is not None and output is not None:
            # Both round the int32 sum once, and ONNX Runtime its multiplier in steps.
            assert unit is not None
            unit, scales = product_scales(unit, scales, output.scale)
            data = scope.builder.dequantize(origin.node, origin.quantized.by(unit))
        weight = scope.builder.weights(values, scales)
    else:
        values = scope.numbers(step, 1)
        weight = scope.builder.constant(torch.from_numpy(values.astype(np.float32)))
    _check_planar(step, values)
    bias = _bias(scope, step, unit, scales)
    stride, dilation = step.get("strides", [1, 1]), step.get("dilations", [1, 1])
    data, padding = bordered(scope, step, data, sides(step, values.shape[2:]))
    return scope.builder.call(
        aten.conv2d.default, data, weight, bias, stride, padding, dilation, step.get("group", 1)
    )


def dense(scope: Scope, step: Step) -> fx.Node:
    """Gemm or MatMul of rows and constant weights, [O, I] or [I, O], as a 1x1 convolution.

    Raises:
        MqnetError: rows are transposed or scaled, or weights are no matrix.
    """
    constant, values = scope.constant(step.input(1)), scope.numbers(step, 1)
    is_plain = step.get("alpha", 1.0) == step.get("beta", 1.0) == 1 and not step.get("transA", 0)
    if not is_plain or values.ndim != 2:
        raise MqnetError(f"{step.name} is no product of rows and one matrix of constants")
    turned = step.get("transB", 0)
    weights = values if turned else values.T
    data = scope.real(step.inputs[0])
    if not isinstance(constant, QuantizedConstant):
        weight = scope.builder.constant(torch.from_numpy(weights.astype(np.float32).copy()))
        return scope.builder.call(aten.linear.default, data, weight, _bias(scope, step, None, None))
    held = constant.values if turned else constant.values.T
    axis = constant.axis if turned else 1 - constant.axis
    scales, unit = _scales(step, QuantizedConstant(held, constant.scales, axis)), None
    origin, output = scope.origin(step.inputs[0]), scope.result_quantized(step)
    if origin is not None:
        unit = origin.quantized.scale
    if origin is not None and output is not None and unit is not None:
        unit, scales = product_scales(unit, scales, output.scale)
        data = scope.builder.dequantize(origin.node, origin.quantized.by(unit))
    weight = scope.builder.weights(np.ascontiguousarray(held)[:, :, None, None], scales)
    bias = _bias(scope, step, unit, scales)
    rows = scope.builder.call(aten.reshape.default, data, [1, -1, 1, held.shape[1]])
    rows = scope.builder.call(aten.permute.default, rows, [0, 3, 1, 2])
    found = scope.builder.call(aten.conv2d.default, rows, weight, bias)
    found = scope.builder.call(aten.permute.default, found, [0, 2, 3, 1])
    return scope.builder.call(aten.reshape.default, found, [-1, held.shape[0]])


def transposed_convolution(scope: Scope, step: Step) -> fx.Node:
    """ConvTranspose: NCHW, IOHW, in float."""
    weight = scope.numbers(step, 1).astype(np.float32)
    _check_planar(step, weight)
    top, left, bottom, right = sides(step, weight.shape[2:])
    if (top, left) != (bottom, right) or step.get("output_shape"):
        raise MqnetError(f"{step.name} is padded by {(top, left, bottom, right)}: pad alike")
    constants = [scope.builder.constant(torch.from_numpy(weight.copy()))]
    bias = scope.numbers(step, 2).astype(np.float32) if step.input(2) else None
    return scope.builder.call(
        aten.conv_transpose2d.input,
        scope.real(step.inputs[0]),
        *constants,
        None if bias is None else scope.builder.constant(torch.from_numpy(bias.copy())),
        step.get("strides", [1, 1]),
        [top, left],
        step.get("output_padding", [0, 0]),
        step.get("group", 1),
        step.get("dilations", [1, 1]),
    )


def sides(step: Step, window: Sequence[int]) -> tuple[int, int, int, int]:
    """Rows above, columns before, rows below and columns behind, of a window of ``window`` taps.

    Raises:
        MqnetError: they depend on the picture's size.
    """
    kind = step.get("auto_pad", "NOTSET")
    if kind == "VALID":
        return 0, 0, 0, 0
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        if any(stride != 1 for stride in step.get("strides", [1, 1])):
            raise MqnetError(f"{step.name} is padded by {kind}: give pads in numbers")
        apart = step.get("dilations", [1, 1])
        missing = [(taps - 1) * one for taps, one in zip(window, apart, strict=True)]
        first, second = [one // 2 for one in missing], [one - one // 2 for one in missing]
        (top, left), (bottom, right) = (first, second) if kind == "SAME_UPPER" else (second, first)
        return top, left, bottom, right
    top, left, bottom, right = step.get("pads", [0, 0, 0, 0])
    return top, left, bottom, right


def bordered(
    scope: Scope, step: Step, data: fx.Node, border: tuple[int, int, int, int], fill: float = 0.0
) -> tuple[fx.Node, list[int]]:
    """The input and what the operation itself pads, rows and columns on each side."""
    top, left, bottom, right = border
    if (top, left) == (bottom, right):
        return data, [top, left]
    if fill != 0:
        raise MqnetError(f"{step.name} is padded by {border}: pad alike on all sides")
    return scope.builder.call(aten.pad.default, data, [left, right, top, bottom]), [0, 0]


def _check_planar(step: Step, weights: NDArray) -> None:
    if weights.ndim != 4:
        raise MqnetError(f"{step.name} is a convolution in {weights.ndim - 2} dimensions, not in 2")


def _scales(step: Step, weights: QuantizedConstant) -> NDArray[np.float32]:
    """One for each output channel."""
    channels = len(weights.values)
    if weights.values.dtype != np.int8:
        raise MqnetError(f"weights of {step.name} are {weights.values.dtype}: quantize to int8")
    if weights.scales.size == 1:
        return np.full(channels, weights.scales[0], np.float32)
    if weights.axis != 0 or weights.scales.size != channels:
        raise MqnetError(f"weights of {step.name} have scales along axis {weights.axis}, not 0")
    return weights.scales


def _bias(
    scope: Scope, step: Step, unit: float | None, scales: NDArray[np.float32] | None
) -> fx.Node | None:
    """In real numbers; int32 ones count products of a ``unit`` of the data and of the weights'
    ``scales``."""
    if not step.input(2):
        return None
    constant, real = scope.constant(step.input(2)), scope.numbers(step, 2).astype(np.float32)
    if isinstance(constant, QuantizedConstant) and unit is not None and scales is not None:
        units = np.float64(unit) * scales.astype(np.float64)
        if np.allclose(constant.scales, units, rtol=1e-4, atol=0):
            output = scope.result_quantized(step)
            counted = real_bias(constant.values, units, None if output is None else output.scale)
            if counted is None:
                raise MqnetError(
                    f"{step.name} has a bias of more than 24 bits: its weights are tiny"
                )
            real = counted
    return scope.builder.constant(torch.from_numpy(real.copy()))
