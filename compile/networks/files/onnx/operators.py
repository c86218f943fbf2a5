"""What each operator of an ONNX file is in PyTorch.

Each function writes its operator into the scope's graph and returns the result in real numbers, or
None where it has put the result itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from compile.networks.files.onnx.convolutions import (
    bordered,
    convolution,
    dense,
    sides,
    transposed_convolution,
)
from compile.networks.files.onnx.scope import (
    Scope,
    Step,
    quantization,
    quantized_constant,
)
from compile.networks.files.rounding import product_scales
from compile.support.errors import MqnetError

aten = torch.ops.aten


def _quantize(scope: Scope, step: Step) -> None:
    quantized = quantization(scope, step)
    node = scope.builder.quantize(scope.real(step.inputs[0]), quantized)
    scope.put_bytes(step.outputs[0], node, quantized)


def _dequantize(scope: Scope, step: Step) -> None:
    name = step.inputs[0]
    if scope.constant(name) is not None:
        scope.put_constant(step.outputs[0], quantized_constant(scope, step))
        return
    found = scope.bytes(name)
    if found is None or found.quantized != quantization(scope, step):
        raise MqnetError(f"{step.name} reads {name} by another scale than it was quantized by")
    scope.put_dequantized(step.outputs[0], name)


def _constant(scope: Scope, step: Step) -> None:
    value = step.get("value", step.get("value_float", step.get("value_floats")))
    if value is None:
        raise MqnetError(f"constant {step.name} is of a kind that is not taken: give a tensor")
    scope.put_constant(step.outputs[0], np.array(value, getattr(value, "dtype", np.float32)))


def _binary(function: Any) -> Callable[[Scope, Step], fx.Node]:
    def convert(scope: Scope, step: Step) -> fx.Node:
        left, right = (_operand(scope, step, place) for place in range(2))
        if isinstance(left, float) and isinstance(right, float):
            raise MqnetError(f"op {step.kind} ({step.name}) is of constants: simplify the file")
        if isinstance(left, float) and function is aten.sub.Tensor:
            return scope.builder.call(aten.rsub.Scalar, right, left)
        if isinstance(left, float) and function is not aten.div.Tensor:
            left, right = right, left
        elif isinstance(left, float):
            left = scope.real(step.inputs[0])
        return scope.builder.call(function, left, right)

    return convert


def _operand(scope: Scope, step: Step, place: int) -> fx.Node | float:
    """A tensor, or a constant: a number, or one for each channel."""
    if scope.constant(step.inputs[place]) is None:
        return scope.real(step.inputs[place])
    values = scope.numbers(step, place)
    if values.size == 1:
        return float(values.item())
    shape = (1,) * (4 - values.ndim) + values.shape
    return scope.builder.constant(torch.from_numpy(values.astype(np.float32).reshape(shape)))


def _multiply(scope: Scope, step: Step) -> fx.Node:
    first, second = (scope.origin(name) for name in step.inputs)
    output = scope.result_quantized(step)
    if first is None or second is None or output is None:
        return _binary(aten.mul.Tensor)(scope, step)
    scales = np.array([first.quantized.scale], np.float32)
    right, (left,) = product_scales(second.quantized.scale, scales, output.scale)
    return scope.builder.call(
        aten.mul.Tensor,
        scope.builder.dequantize(first.node, first.quantized.by(float(left))),
        scope.builder.dequantize(second.node, second.quantized.by(right)),
    )


def _mover(scope: Scope, step: Step, names: Sequence[str]) -> list[fx.Node]:
    """What an operation reads that only moves numbers, by its result's scale: rounding each before
    is rounding it behind."""
    output = scope.result_quantized(step)
    nodes = []
    for name in names:
        node, origin = scope.real(name), scope.origin(name)
        if output is not None and (origin is None or origin.quantized != output):
            node = scope.builder.dequantize(scope.builder.quantize(node, output), output)
        nodes.append(node)
    return nodes


def _concat(scope: Scope, step: Step) -> fx.Node:
    axis = step.get("axis")
    if axis not in (1, -3):
        raise MqnetError(f"{step.name} is joined along axis {axis}: along channels is taken")
    return scope.builder.call(aten.cat.default, _mover(scope, step, step.inputs), 1)


def _resize(scope: Scope, step: Step) -> fx.Node:
    place = 1 if step.kind == "Upsample" else 2
    factors = [float(one) for one in scope.numbers(step, place).ravel()]
    if len(factors) != 4 or factors[:2] != [1.0, 1.0]:
        raise MqnetError(f"{step.name} is resized by {factors}: give factors of rows and columns")
    mode, rule = (
        step.get("mode", "nearest"),
        step.get("coordinate_transformation_mode", "half_pixel"),
    )
    rule = "asymmetric" if step.kind == "Upsample" else rule
    rounding = (
        "floor" if step.kind == "Upsample" else step.get("nearest_mode", "round_prefer_floor")
    )
    (data,) = _mover(scope, step, step.inputs[:1])
    is_whole = all(factor >= 1 and factor % 1 == 0 for factor in factors)
    is_repeated = (rule, rounding) == ("asymmetric", "floor") or (
        rule in ("half_pixel", "pytorch_half_pixel") and rounding.startswith("round")
    )
    if mode == "nearest" and is_whole and is_repeated:
        return scope.builder.call(aten.upsample_nearest2d.vec, data, None, factors[2:])
    if mode == "linear" and is_whole and rule in ("half_pixel", "pytorch_half_pixel"):
        return scope.builder.call(aten.upsample_bilinear2d.vec, data, None, False, factors[2:])
    raise MqnetError(
        f"{step.name} is resized by {factors[2:]}, {mode}, {rule}, {rounding}: a whole factor is "
        "taken, by repeating pixels or between their centres"
    )


def _max_pool(scope: Scope, step: Step) -> fx.Node:
    if len(step.outputs) > 1 and step.outputs[1] in scope.users:
        raise MqnetError(f"{step.name} gives the places of maxima, which are not taken")
    (data,) = _mover(scope, step, step.inputs[:1])
    return _pooled(scope, step, data, aten.max_pool2d.default, [step.get("dilations", [1, 1])])


def _average_pool(scope: Scope, step: Step) -> fx.Node:
    if step.get("dilations", [1, 1]) != [1, 1]:
        raise MqnetError(f"{step.name} is a dilated average pool, which is not taken")
    counts = bool(step.get("count_include_pad", 0))
    data = scope.real(step.inputs[0])
    return _pooled(scope, step, data, aten.avg_pool2d.default, [], counts)


def _pooled(
    scope: Scope, step: Step, data: fx.Node, function: Any, before: list[Any], *behind: Any
) -> fx.Node:
    window = step.get("kernel_shape")
    data, padding = bordered(scope, step, data, sides(step, window), fill=-np.inf)
    strides, rounds_up = step.get("strides", [1, 1]), bool(step.get("ceil_mode", 0))
    return scope.builder.call(function, data, window, strides, padding, *before, rounds_up, *behind)


def _mean(scope: Scope, step: Step) -> fx.Node:
    axes = step.get("axes", scope.numbers(step, 1).tolist() if step.input(1) else [])
    if sorted(axis % 4 for axis in axes) != [2, 3] or not step.get("keepdims", 1):
        raise MqnetError(f"{step.name} is a mean over axes {axes}: give 2 and 3, and keep them")
    return _global_mean(scope, step)


def _global_mean(scope: Scope, step: Step) -> fx.Node:
    return scope.builder.call(aten.adaptive_avg_pool2d.default, scope.real(step.inputs[0]), [1, 1])


def _clip(scope: Scope, step: Step) -> fx.Node:
    limits = []
    for place, name in ((1, "min"), (2, "max")):
        given = float(scope.numbers(step, place).item()) if step.input(place) else step.get(name)
        limits.append(given)
    data, (low, high) = scope.real(step.inputs[0]), limits
    if high is None and low == 0:
        return scope.builder.call(aten.relu.default, data)
    if low is None or high is None:
        raise MqnetError(f"{step.name} is clipped on one side, at {low or high}: give both limits")
    return scope.builder.call(aten.hardtanh.default, data, float(low), float(high))


def _instance_norm(scope: Scope, step: Step) -> fx.Node:
    weight, bias = (
        scope.builder.constant(
            torch.from_numpy(scope.numbers(step, place).astype(np.float32).copy())
        )
        for place in (1, 2)
    )
    data, epsilon = scope.real(step.inputs[0]), step.get("epsilon", 1e-5)
    return scope.builder.call(
        aten.instance_norm.default, data, weight, bias, None, None, True, 0.1, epsilon, False
    )


def _batch_norm(scope: Scope, step: Step) -> fx.Node:
    if step.get("training_mode", 0):
        raise MqnetError(f"{step.name} is a batch norm in training: export for inference")
    constants = [
        scope.builder.constant(
            torch.from_numpy(scope.numbers(step, place).astype(np.float32).copy())
        )
        for place in range(1, 5)
    ]
    data, epsilon = scope.real(step.inputs[0]), step.get("epsilon", 1e-5)
    return scope.builder.call(aten.batch_norm.default, data, *constants, False, 0.1, epsilon, False)


def _pad(scope: Scope, step: Step) -> fx.Node:
    widths = [int(one) for one in (step.get("pads") or scope.numbers(step, 1).ravel())]
    fill = float(scope.numbers(step, 2).item()) if step.input(2) else step.get("value", 0.0)
    mode = {"edge": "replicate"}.get(step.get("mode", "constant"), step.get("mode", "constant"))
    if len(widths) != 8 or any(widths[:2] + widths[4:6]) or fill or step.input(3):
        raise MqnetError(
            f"{step.name} is padded by {widths} with {fill:g}: rows and columns of zeros"
        )
    if mode not in ("constant", "reflect", "replicate"):
        raise MqnetError(f"{step.name} is padded by {mode}: constant, reflect and edge are known")
    top, left, bottom, right = *widths[2:4], *widths[6:]
    data = scope.real(step.inputs[0])
    return scope.builder.call(aten.pad.default, data, [left, right, top, bottom], mode)


def _depth_to_space(scope: Scope, step: Step) -> fx.Node:
    if step.get("mode", "DCR") != "CRD":
        raise MqnetError(f"{step.name} is DepthToSpace of mode DCR: CRD, PyTorch's, is taken")
    (data,) = _mover(scope, step, step.inputs[:1])
    return scope.builder.call(aten.pixel_shuffle.default, data, step.get("blocksize"))


def _unary(function: Any) -> Callable[[Scope, Step], fx.Node]:
    return lambda scope, step: scope.builder.call(function, scope.real(step.inputs[0]))


def _leaky_relu(scope: Scope, step: Step) -> fx.Node:
    return scope.builder.call(
        aten.leaky_relu.default, scope.real(step.inputs[0]), float(step.get("alpha", 0.01))
    )


def _reshape(scope: Scope, step: Step) -> fx.Node:
    shape = [int(one) for one in scope.numbers(step, 1).ravel()]
    if 0 in shape:
        raise MqnetError(f"{step.name} is reshaped to {shape}: give the extents that are kept")
    (data,) = _mover(scope, step, step.inputs[:1])
    return scope.builder.call(aten.reshape.default, data, shape)


def _flatten(scope: Scope, step: Step) -> fx.Node:
    if step.get("axis", 1) != 1:
        raise MqnetError(f"{step.name} is flattened from axis {step.get('axis')}: from 1 is taken")
    (data,) = _mover(scope, step, step.inputs[:1])
    return scope.builder.call(aten.flatten.using_ints, data, 1)


def _transpose(scope: Scope, step: Step) -> fx.Node:
    if step.get("perm") is None:
        raise MqnetError(f"{step.name} is transposed without perm: give the order of its axes")
    (data,) = _mover(scope, step, step.inputs[:1])
    return scope.builder.call(aten.permute.default, data, list(step.get("perm")))


def _axes(scope: Scope, step: Step) -> list[int]:
    given = step.get("axes", scope.numbers(step, 1) if step.input(1) else None)
    if given is None:
        raise MqnetError(f"{step.name} says no axes: give them")
    return [int(one) for one in given]


def _squeeze(scope: Scope, step: Step) -> fx.Node:
    (data,) = _mover(scope, step, step.inputs[:1])
    return scope.builder.call(aten.squeeze.dims, data, _axes(scope, step))


def _unsqueeze(scope: Scope, step: Step) -> fx.Node:
    (node,) = _mover(scope, step, step.inputs[:1])
    for axis in sorted(_axes(scope, step)):
        node = scope.builder.call(aten.unsqueeze.default, node, axis)
    return node


def _softmax(scope: Scope, step: Step) -> fx.Node:
    data = scope.real(step.inputs[0])
    return scope.builder.call(aten.softmax.int, data, step.get("axis", -1))


def _largest(scope: Scope, step: Step) -> fx.Node:
    if step.get("select_last_index", 0):
        raise MqnetError(f"{step.name} gives the last of the largest: the first is taken")
    data, keeps = scope.real(step.inputs[0]), bool(step.get("keepdims", 1))
    return scope.builder.call(aten.argmax.default, data, step.get("axis", 0), keeps)


def _cast(scope: Scope, step: Step) -> fx.Node:
    dtype = {1: torch.float32, 6: torch.int32, 7: torch.int64}.get(step.get("to"))
    if dtype is None:
        raise MqnetError(f"{step.name} casts to a type that is not taken: float, int32 or int64 is")
    return scope.builder.call(aten.to.dtype, scope.real(step.inputs[0]), dtype)


OPERATORS: dict[str, Callable[[Scope, Step], fx.Node | None]] = {
    "Add": _binary(aten.add.Tensor),
    "ArgMax": _largest,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _constant,
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "DepthToSpace": _depth_to_space,
    "DequantizeLinear": _dequantize,
    "Div": _binary(aten.div.Tensor),
    "Exp": _unary(aten.exp.default),
    "Flatten": _flatten,
    "Gemm": dense,
    "GlobalAveragePool": _global_mean,
    "Identity": lambda scope, step: scope.real(step.inputs[0]),
    "InstanceNormalization": _instance_norm,
    "LeakyRelu": _leaky_relu,
    "Log": _unary(aten.log.default),
    "MatMul": dense,
    "MaxPool": _max_pool,
    "Mul": _multiply,
    "Pad": _pad,
    "QuantizeLinear": _quantize,
    "ReduceMean": _mean,
    "Relu": _unary(aten.relu.default),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": _unary(aten.sigmoid.default),
    "Softmax": _softmax,
    "Squeeze": _squeeze,
    "Sub": _binary(aten.sub.Tensor),
    "Tanh": _unary(aten.tanh.default),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": _resize,
}
"""By the name of the format; what is not here is refused."""
