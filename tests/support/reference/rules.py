"""Rules of single quantized operations, by the rules of ``ops``: NHWC numbers of FX nodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.fx import Node

from reference import ops
from reference.ops import Affine


class NoRule(Exception):
    """A quantized tensor is not computed from quantized tensors by one of the rules."""


class Rules:
    """What each operation makes of the quantized tensors before it.

    Attributes:
        constants: parameters, buffers and lifted tensors by the name of their placeholder.
        tensors: int8 NHWC of the quantized tensors so far, by node name.
        given: what rules take their inputs from: ``tensors``, or others.
    """

    constants: dict[str, NDArray]
    tensors: dict[str, NDArray[np.int8]]
    given: Mapping[str, NDArray[np.int8]]

    def operand(self, node: Node) -> tuple[NDArray[np.int8], Affine]:
        """The numbers behind a dequantize ``node`` and what they mean."""
        if name_of(node) != "dequantize_per_tensor.default":
            raise NoRule
        if node.args[0].name not in self.tensors:
            raise NoRule
        return self.given[node.args[0].name], affine_of(node)

    def _weight(self, node: Node) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """OIHW int8 and float32 [O] behind a dequantize_per_channel ``node``."""
        if name_of(node) != "dequantize_per_channel.default":
            raise NoRule
        weight, scale, zero_point = (self.constants[arg.name] for arg in node.args[:3])
        assert not zero_point.any() and node.args[3] == 0, "weights are not symmetric per channel"
        return weight, scale.astype(np.float32)

    def _term(self, node: Node) -> tuple[NDArray[np.int8], Affine]:
        """An operand of an add, with the number that it is multiplied by in its scale."""
        if name_of(node) != "mul.Tensor" or isinstance(node.args[1], Node):
            return self.operand(node)
        numbers, parameters = self.operand(node.args[0])
        return numbers, Affine(parameters.scale * np.float32(node.args[1]), parameters.zero_point)

    def _conv2d(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, weight, bias, stride, padding, dilation, groups = (
            node.args + (None, [1, 1], [0, 0], [1, 1], 1)[len(node.args) - 2 :]
        )
        border = [0, 0, 0, 0]
        if name_of(data) == "pad.default":
            data, (left, right, top, bottom), mode, value = (*data.args, "constant", 0)[:4]
            assert mode == "constant" and not value, "a border that is not of zeros"
            border = [top, left, bottom, right]
        numbers, parameters = self.operand(data)
        weight, weight_scale = self._weight(weight)
        bias = np.zeros(len(weight), np.float32) if bias is None else self.constants[bias.name]
        accumulator = ops.conv2d(
            numbers,
            parameters.zero_point,
            weight,
            ops.conv_bias(bias, parameters.scale, weight_scale),
            tuple(stride),
            tuple(np.array([*padding, *padding]) + border),
            groups=groups,
            dilation=tuple(dilation),
        )
        multiplier = ops.conv_multiplier(parameters.scale, weight_scale, output.scale)
        return ops.requantize(accumulator, multiplier, output.zero_point, low, high)

    def _add(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        (a, left), (b, right) = (self._term(arg) for arg in node.args)
        sign = -1 if name_of(node) == "sub.Tensor" else 1
        multipliers = ops.add_multipliers(left.scale, sign * right.scale, output.scale)
        zero_points = left.zero_point, right.zero_point
        return ops.add(
            a, zero_points[0], b, zero_points[1], multipliers, output.zero_point, low, high
        )

    def _multiply(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        (a, left), (b, right) = (self.operand(arg) for arg in node.args)
        multiplier = ops.multiply_multiplier(left.scale, right.scale, output.scale)
        zero_points = left.zero_point, right.zero_point
        return ops.multiply(
            a, zero_points[0], b, zero_points[1], multiplier, output.zero_point, low, high
        )

    def _average_pool(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, kernel, stride, padding, _, counts, divisor = (
            node.args + ([], [0, 0], False, True, None)[len(node.args) - 2 :]
        )
        assert divisor is None
        numbers, parameters = self.operand(data)
        kernel, padding = np.broadcast_to(kernel, 2), np.broadcast_to(padding, 2)
        stride = np.broadcast_to(stride or kernel, 2)
        end = _needed_padding(node, numbers, kernel, stride, padding)
        assert not (counts and padding.any() and (end > padding).any())
        return ops.average_pool(
            numbers,
            parameters.zero_point,
            tuple(kernel),
            tuple(stride),
            (*padding, *end),
            (parameters.scale, output.scale),
            output.zero_point,
            counts and bool(padding.any()),
            low,
            high,
        )

    def _mean(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, parameters = self.operand(node.args[0])
        size = tuple(node.meta["val"].shape[2:])
        if size != (1, 1):
            kernel = tuple(extent // n for extent, n in zip(data.shape[1:3], size, strict=True))
            scales = parameters.scale, output.scale
            return ops.average_pool(
                data,
                *(parameters.zero_point, kernel, kernel, (0, 0, 0, 0), scales),
                *(output.zero_point, True, low, high),
            )
        pixels = data.shape[1] * data.shape[2]
        multiplier = ops.mean_multiplier(parameters.scale, output.scale, pixels)
        return ops.mean(data, parameters.zero_point, multiplier, output.zero_point, low, high)

    def _upsample(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, parameters = self.operand(node.args[0])
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        return ops.resize_nearest(data, tuple(node.meta["val"].shape[2:]))

    def _concat(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        parts, parameters = zip(*(self.operand(arg) for arg in node.args[0]), strict=True)
        assert set(parameters) == {output} and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        assert node.args[1] == 1, "concat is not along the channels"
        return ops.concat(*parts)

    def _max_pool(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, kernel, stride, padding, dilation, _ = (
            node.args + ([], [0, 0], [1, 1], False)[len(node.args) - 2 :]
        )
        numbers, parameters = self.operand(data)
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        assert set(dilation) == {1}, "dilated"
        stride = stride or kernel
        end = _needed_padding(node, numbers, kernel, stride, padding)
        return ops.max_pool(numbers, tuple(kernel), tuple(stride), (*padding, *end))

    def _pixel_shuffle(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        numbers, parameters = self.operand(node.args[0])
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        return ops.pixel_shuffle(numbers, node.args[1])

    def _bilinear(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, _, align_corners, _ = node.args
        numbers, parameters = self.operand(data)
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        return ops.resize_bilinear(numbers, tuple(node.meta["val"].shape[2:]), align_corners)

    def _channel_maximum(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, axes, keepdim = node.args
        numbers, parameters = self.operand(data)
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        assert axes == [1] and keepdim
        return ops.channel_maximum(numbers)

    def _mean_over(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, axes, keepdim = node.args
        numbers, parameters = self.operand(data)
        assert keepdim and axes in ([1], [2, 3])
        count = numbers.shape[3] if axes == [1] else numbers.shape[1] * numbers.shape[2]
        multiplier = ops.mean_multiplier(parameters.scale, output.scale, count)
        rule = ops.channel_mean if axes == [1] else ops.mean
        return rule(numbers, parameters.zero_point, multiplier, output.zero_point, low, high)

    def _pad(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, (left, right, top, bottom), mode = (*node.args, "constant")[:3]
        numbers, parameters = self.operand(data)
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        return ops.border(numbers, (top, left, bottom, right), mode, output.zero_point)


RULES = {
    "conv2d.default": Rules._conv2d,
    "add.Tensor": Rules._add,
    "sub.Tensor": Rules._add,
    "mul.Tensor": Rules._multiply,
    "avg_pool2d.default": Rules._average_pool,
    "adaptive_avg_pool2d.default": Rules._mean,
    "upsample_nearest2d.vec": Rules._upsample,
    "cat.default": Rules._concat,
    "max_pool2d.default": Rules._max_pool,
    "upsample_bilinear2d.vec": Rules._bilinear,
    "amax.default": Rules._channel_maximum,
    "mean.dim": Rules._mean_over,
    "pad.default": Rules._pad,
    "pixel_shuffle.default": Rules._pixel_shuffle,
}


def name_of(node: Node) -> str:
    """The operator's; what writes over its operand is called like what does not."""
    return getattr(node.target, "__name__", "").replace("_.", ".")


def affine_of(node: Node) -> Affine:
    _, scale, zero_point, low, high, dtype = node.args
    assert (low, high, dtype) == (ops.INT8_MIN, ops.INT8_MAX, torch.int8)
    return Affine(np.float32(scale), zero_point)


def _needed_padding(
    node: Node, data: NDArray, kernel: ArrayLike, stride: ArrayLike, padding: ArrayLike
) -> NDArray:
    """(bottom, right): what PyTorch's size, which may be rounded up, needs."""
    reach = (np.array(node.meta["val"].shape[2:]) - 1) * stride + kernel
    return np.maximum(padding, reach - data.shape[1:3] - padding)
