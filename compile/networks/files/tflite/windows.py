"""Poolings, means and resizes of a .tflite file in PyTorch."""

from __future__ import annotations

import torch
from torch import fx

from compile.networks.files.graph_builder import Quantized
from compile.networks.files.tflite.model import Operator
from compile.networks.files.tflite.moving import integers, shaped, upsampled
from compile.networks.files.tflite.scope import Scope, nchw_axis, nhwc
from compile.networks.files.tflite.values import activated, activation_limits, side_padding
from compile.support.errors import MqnetError

aten = torch.ops.aten

#: A step of the result of an average is so much smaller than one of the data: a tie becomes more
#: than a half, away from zero, and nothing else gets near one.
_TIES = 2.0**-19


def max_pool(scope: Scope, operator: Operator) -> fx.Node:
    """MAX_POOL_2D."""
    data = scope.real(operator.inputs[0])
    window, stride, padding, rounds_up = _window(scope, operator)
    return activated(
        scope,
        operator,
        scope.builder.call(
            aten.max_pool2d.default, data, window, stride, padding, [1, 1], rounds_up
        ),
    )


def average_pool(scope: Scope, operator: Operator) -> fx.Node | None:
    """AVERAGE_POOL_2D: padding does not count. LiteRT averages bytes as they are and rounds ties
    away from zero."""
    (index,), output = operator.inputs, operator.outputs[0]
    builder, tensor = scope.builder, scope.tensors[output]
    window, stride, padding, rounds_up = _window(scope, operator)
    data = scope.real(index)
    if tensor.is_int8:
        if scope.tensors[index].quantized != tensor.quantized:
            raise MqnetError(f"{tensor.name} is averaged to another scale: quantize alike")
        data = builder.dequantize(scope.bytes(index), Quantized(1.0, 0))
    result = builder.call(aten.avg_pool2d.default, data, window, stride, padding, rounds_up, False)
    if not tensor.is_int8:
        return activated(scope, operator, result)
    limits = activation_limits(scope, operator)
    if limits is not None:
        result = builder.call(aten.hardtanh.default, result, *map(float, limits))
    scope.put_bytes(output, builder.quantize(result, Quantized(1 - _TIES, 0)))
    return None


def mean(scope: Scope, operator: Operator) -> fx.Node:
    """MEAN."""
    data, axes = _reduced(scope, operator)
    before = nhwc(scope.tensors[operator.inputs[0]].shape)
    if sorted(axes) == [2, 3]:
        result = scope.builder.call(aten.adaptive_avg_pool2d.default, data, [1, 1])
    else:
        result = scope.builder.call(aten.mean.dim, data, axes, True)
    return _as_output(scope, operator, result, before, axes)


def maximum(scope: Scope, operator: Operator) -> fx.Node:
    """REDUCE_MAX."""
    data, axes = _reduced(scope, operator)
    before = nhwc(scope.tensors[operator.inputs[0]].shape)
    result = scope.builder.call(aten.amax.default, data, axes, True)
    return _as_output(scope, operator, result, before, axes)


def softmax(scope: Scope, operator: Operator) -> fx.Node:
    """SOFTMAX, over the last axis."""
    data = scope.real(operator.inputs[0])
    if operator.options.beta != 1:
        data = scope.builder.call(aten.mul.Tensor, data, float(operator.options.beta))
    return scope.builder.call(aten.softmax.int, data, 1)


def resize_nearest(scope: Scope, operator: Operator) -> fx.Node:
    """RESIZE_NEAREST_NEIGHBOR: pixel i of m is pixel i * n // m of n.

    Raises:
        MqnetError: pixels are counted otherwise, which makes a difference.
    """
    data, output = operator.inputs[0], operator.outputs[0]
    before, after = _sizes(scope, operator)
    options = operator.options
    for old, new in zip(before, after, strict=True):
        # Centres of pixels lie alike where each is repeated as often as any.
        if options.alignCorners or (options.halfPixelCenters and new % old):
            raise MqnetError(
                f"{scope.tensors[output].name} is resized from {before} to {after} with "
                "align_corners or half_pixel_centers: resize by whole factors, or without them"
            )
    factors = {new / old for old, new in zip(before, after, strict=True)}
    if len(factors) == 1 and not min(factors) % 1:
        return upsampled(scope, data, int(factors.pop()))
    return scope.builder.call(aten.upsample_nearest2d.vec, scope.real(data), after, None)


def resize_bilinear(scope: Scope, operator: Operator) -> fx.Node:
    """RESIZE_BILINEAR, with the centres of pixels or corners aligned.

    Raises:
        MqnetError: with neither.
    """
    options, output = operator.options, operator.outputs[0]
    before, after = _sizes(scope, operator)
    if not options.alignCorners and not options.halfPixelCenters and before != after:
        raise MqnetError(
            f"{scope.tensors[output].name} is resized with neither align_corners nor "
            "half_pixel_centers: choose one"
        )
    return scope.builder.call(
        aten.upsample_bilinear2d.vec,
        scope.real(operator.inputs[0]),
        after,
        bool(options.alignCorners),
        None,
    )


def _sizes(scope: Scope, operator: Operator) -> tuple[list[int], list[int]]:
    indices = operator.inputs[0], operator.outputs[0]
    before, after = ([*nhwc(scope.tensors[index].shape)[1:3]] for index in indices)
    return before, after


def _window(scope: Scope, operator: Operator) -> tuple[list[int], list[int], list[int], bool]:
    """Window, stride and padding of a pooling, rows before columns, and whether one more window is
    begun at the end.

    Raises:
        MqnetError: more is padded at the end than that.
    """
    options = operator.options
    window = [options.filterHeight, options.filterWidth]
    stride = [options.strideH, options.strideW]
    sides = side_padding(scope, operator, (window[0], window[1]), (1, 1))
    top, bottom, left, right = sides
    if (top, left) == (bottom, right):
        return window, stride, [top, left], False
    before, after = _sizes(scope, operator)
    steps = zip(before, window, stride, (top, left), strict=True)
    begun = [-(-(extent + 2 * side - taps) // step) + 1 for extent, taps, step, side in steps]
    if begun != after:
        name = scope.tensors[operator.outputs[0]].name
        raise MqnetError(f"{name} is padded by {sides}: pad alike on all sides")
    return window, stride, [top, left], True


def _reduced(scope: Scope, operator: Operator) -> tuple[fx.Node, list[int]]:
    """The tensor that is reduced, and over which axes of NCHW."""
    rank = len(scope.tensors[operator.inputs[0]].shape)
    axes = [nchw_axis(axis % rank, rank) for axis in integers(scope, operator, 1)]
    return scope.real(operator.inputs[0]), axes


def _as_output(
    scope: Scope, operator: Operator, result: fx.Node, before: tuple[int, ...], axes: list[int]
) -> fx.Node:
    """``result``, of which ``axes`` have 1 element, in the shape of the output."""
    kept = tuple(1 if nchw_axis(axis, 4) in axes else extent for axis, extent in enumerate(before))
    return shaped(scope, result, kept, nhwc(scope.tensors[operator.outputs[0]].shape))
