"""Operators of a .tflite file that move numbers, in PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx

from compile.networks.files.tflite.model import Operator
from compile.networks.files.tflite.scope import Padding, Scope, nchw_axis, nhwc
from compile.networks.files.tflite.values import activated
from compile.support.errors import MqnetError

aten = torch.ops.aten

_TO_NHWC, _TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


def concat(scope: Scope, operator: Operator) -> fx.Node:
    """CONCATENATION."""
    output = operator.outputs[0]
    rank = len(scope.tensors[output].shape)
    axis = operator.options.axis % rank
    sources = {scope.moved(index)[0] for index in operator.inputs}
    if len(sources) == 1 and len(operator.inputs) > 1:
        origins = [scope.moved(index)[1] for index in operator.inputs]
        scope.put_moved(output, sources.pop(), np.concatenate(origins, axis))
    parts = [_rescaled(scope, index, output) for index in operator.inputs]
    joined = scope.builder.call(aten.cat.default, parts, nchw_axis(axis, rank))
    return activated(scope, operator, joined)


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


def reshape(scope: Scope, operator: Operator) -> fx.Node:
    """RESHAPE, SQUEEZE and EXPAND_DIMS."""
    data, output = operator.inputs[0], operator.outputs[0]
    before, after = (nhwc(scope.tensors[index].shape) for index in (data, output))
    source, origins = scope.moved(data)
    origins = origins.reshape(scope.tensors[output].shape)
    scope.put_moved(output, source, origins)
    factor = _repetition(nhwc(scope.tensors[source].shape), origins)
    if before != after and factor is not None:
        return upsampled(scope, source, factor)
    return shaped(scope, scope.real(data), before, after)


def shaped(scope: Scope, node: fx.Node, before: tuple[int, ...], after: tuple[int, ...]) -> fx.Node:
    """``node``, of the shape ``before`` in NHWC, in the shape ``after``."""
    return node if before == after else _blocks(scope, node, None, after)


def _blocks(
    scope: Scope,
    node: fx.Node,
    blocks: tuple[list[int], list[int]] | None,
    after: tuple[int, ...],
) -> fx.Node:
    """The numbers of ``node`` in NHWC, reshaped to ``blocks`` and permuted, in the shape
    ``after``."""
    rows = scope.builder.call(aten.permute.default, node, _TO_NHWC)
    if blocks is not None:
        rows = scope.builder.call(aten.reshape.default, rows, blocks[0])
        rows = scope.builder.call(aten.permute.default, rows, blocks[1])
    rows = scope.builder.call(aten.reshape.default, rows, list(after))
    return scope.builder.call(aten.permute.default, rows, _TO_NCHW)


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


def upsampled(scope: Scope, source: int, factor: int) -> fx.Node:
    """Each pixel of tensor ``source`` so many times in both directions."""
    factors = [float(factor)] * 2
    return scope.builder.call(aten.upsample_nearest2d.vec, scope.real(source), None, factors)


def depth_to_space(scope: Scope, operator: Operator) -> fx.Node:
    """DEPTH_TO_SPACE: channel (i * b + j) * C + c to row i and column j of a block."""
    side = operator.options.blockSize
    _, height, width, depth = nhwc(scope.tensors[operator.inputs[0]].shape)
    split = [1, height, width, side, side, depth // side**2]
    return _permuted(scope, operator, split, [0, 1, 3, 2, 4, 5])


def space_to_depth(scope: Scope, operator: Operator) -> fx.Node:
    """SPACE_TO_DEPTH: row i and column j of a block to channel (i * b + j) * C + c."""
    side = operator.options.blockSize
    _, height, width, depth = nhwc(scope.tensors[operator.inputs[0]].shape)
    split = [1, height // side, side, width // side, side, depth]
    return _permuted(scope, operator, split, [0, 1, 3, 2, 4, 5])


def transpose(scope: Scope, operator: Operator) -> fx.Node:
    """TRANSPOSE."""
    order = integers(scope, operator, 1)
    missing = 4 - len(order)
    axes = [*range(missing), *(axis + missing for axis in order)]
    shape = list(nhwc(scope.tensors[operator.inputs[0]].shape))
    return _permuted(scope, operator, shape, axes)


def _permuted(scope: Scope, operator: Operator, split: list[int], axes: list[int]) -> fx.Node:
    after = nhwc(scope.tensors[operator.outputs[0]].shape)
    return _blocks(scope, scope.real(operator.inputs[0]), (split, axes), after)


def part(scope: Scope, operator: Operator) -> fx.Node:
    """SLICE."""
    begins, extents = integers(scope, operator, 1), integers(scope, operator, 2)
    shape = scope.tensors[operator.inputs[0]].shape
    ends = [
        begin + extent if extent >= 0 else whole
        for begin, extent, whole in zip(begins, extents, shape, strict=True)
    ]
    return _sliced(scope, operator, begins, ends, [1] * len(begins))


def strided_slice(scope: Scope, operator: Operator) -> fx.Node:
    """STRIDED_SLICE.

    Raises:
        MqnetError: it goes backwards, or adds axes.
    """
    options, name = operator.options, scope.tensors[operator.outputs[0]].name
    begins, ends, steps = (integers(scope, operator, place) for place in (1, 2, 3))
    if min(steps) < 1 or options.ellipsisMask or options.newAxisMask or options.offset:
        raise MqnetError(f"{name} is a slice that goes backwards or adds axes: slice forwards")
    shape = scope.tensors[operator.inputs[0]].shape
    for axis, whole in enumerate(shape[: len(begins)]):
        begin = 0 if options.beginMask >> axis & 1 else begins[axis]
        begins[axis] = min(max(begin + whole * (begin < 0), 0), whole)
        end = whole if options.endMask >> axis & 1 else ends[axis]
        ends[axis] = min(max(end + whole * (end < 0), 0), whole)
        if options.shrinkAxisMask >> axis & 1:
            ends[axis] = begins[axis] + 1
    return _sliced(scope, operator, begins, ends, steps)


def _sliced(
    scope: Scope, operator: Operator, begins: list[int], ends: list[int], steps: list[int]
) -> fx.Node:
    index, tensor = operator.inputs[0], scope.tensors[operator.outputs[0]]
    shape, node = [*scope.tensors[index].shape], scope.real(index)
    rank = len(shape)
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if (begin, end, step) == (0, shape[axis], 1):
            continue
        if shape[axis] != scope.tensors[index].shape[axis] or node is not scope.real(index):
            node = scope.settled(operator.outputs[0], node)
        node = scope.builder.call(aten.slice.Tensor, node, nchw_axis(axis, rank), begin, end, step)
        shape[axis] = -(-(end - begin) // step)
    before, after = nhwc(shape), nhwc(tensor.shape)
    if before != after and node is not scope.real(index):
        node = scope.settled(operator.outputs[0], node)
    return shaped(scope, node, before, after)


def split(scope: Scope, operator: Operator) -> None:
    """SPLIT: in equal parts."""
    _split(scope, operator, operator.inputs[1], integers(scope, operator, 0)[0])


def split_by_sizes(scope: Scope, operator: Operator) -> None:
    """SPLIT_V."""
    _split(scope, operator, operator.inputs[0], integers(scope, operator, 2)[0])


def _split(scope: Scope, operator: Operator, data: int, axis: int) -> None:
    rank = len(scope.tensors[data].shape)
    begin, axis = 0, axis % rank
    for index in operator.outputs:
        end = begin + scope.tensors[index].shape[axis]
        scope.put(
            index,
            scope.builder.call(
                aten.slice.Tensor, scope.real(data), nchw_axis(axis, rank), begin, end, 1
            ),
        )
        begin = end


def pad(scope: Scope, operator: Operator) -> fx.Node:
    """PAD, with zeros."""
    data, output = operator.inputs[0], operator.outputs[0]
    widths = np.array(integers(scope, operator, 1)).reshape(-1, 2)
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


_MIRRORED = "reflect", "symmetric"


def mirror_pad(scope: Scope, operator: Operator) -> fx.Node:
    """MIRROR_PAD, without the border itself.

    Raises:
        MqnetError: the border is repeated, or other axes are padded.
    """
    output = scope.tensors[operator.outputs[0]]
    widths = np.array(integers(scope, operator, 1)).reshape(-1, 2)
    if len(widths) != 4 or widths[[0, 3]].any() or operator.options.mode != 0:
        raise MqnetError(
            f"{output.name} is padded by {widths.tolist()}, mode "
            f"{_MIRRORED[operator.options.mode]}: rows and columns are, in mode reflect"
        )
    (top, bottom), (left, right) = widths[1:3].tolist()
    data = scope.real(operator.inputs[0])
    return scope.builder.call(aten.pad.default, data, [left, right, top, bottom], "reflect")


def integers(scope: Scope, operator: Operator, place: int) -> list[int]:
    """The constant integers that ``operator`` reads.

    Raises:
        MqnetError: they are computed.
    """
    constant = scope.constant(operator.inputs[place])
    if constant is None or constant.constant is None:
        name = scope.tensors[operator.outputs[0]].name
        raise MqnetError(f"{name} has a dynamic shape: convert for a fixed size")
    return [int(number) for number in constant.constant.ravel()]
