"""The int8 part of a quantized ``torch.export`` program, run in NumPy by the rules of ``ops``.

Reads the FX graph as PyTorch exported it (NCHW, float between dequantize and quantize) and finds
on its own what is computed between the quantized tensors; results are NHWC. A quantized tensor
that no rule covers, or that depends on one, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.export import ExportedProgram
from torch.fx import Node

from reference import ops
from reference.functions import UNARY
from reference.ops import Affine

_MOVERS = {"permute.default": [0, 3, 1, 2]}
#: Numbers in another order, or fewer of them: torch's own operators say where they go.
_REARRANGING = {
    *("flatten.using_ints", "permute.default", "reshape.default", "view.default"),
    *("squeeze.dim", "squeeze.dims", "unsqueeze.default", "transpose.int", "unflatten.int"),
    *("channel_shuffle.default", "pixel_unshuffle.default", "slice.Tensor"),
}
_ACTIVATIONS = {"relu.default", "hardtanh.default"}
_PAIRS = {"add.Tensor", "sub.Tensor", "mul.Tensor"}


@dataclass(frozen=True)
class BackboneRun:
    """Result of :func:`run_backbone`.

    Attributes:
        tensors: int8 NHWC of every quantized tensor that integers alone lead to, by node name, in
            the order of the graph.
        boundary: the names of those that the float part reads.
    """

    tensors: dict[str, NDArray[np.int8]]
    boundary: list[str]

    @property
    def output(self) -> NDArray[np.int8]:
        """The one tensor at the boundary: what a compiled ``backbone`` returns."""
        (name,) = self.boundary
        return self.tensors[name]


def run_backbone(
    program: ExportedProgram,
    image: NDArray[np.uint8],
    given: Mapping[str, NDArray[np.int8]] | None = None,
    starts: Sequence[NDArray[np.int8]] = (),
) -> BackboneRun:
    """Evaluate the int8 part of ``program`` on ``image``, uint8 [1,H,W,3].

    With ``given`` tensors (NHWC, by node name) every rule takes its inputs from there instead of
    from the rules before it, so that each can be judged by itself. ``starts`` are what is quantized
    behind float operations, in the graph's order: from there on integers lead to more.
    """
    return _Runner(program, image, given, starts).run()


class _NoRule(Exception):
    """A quantized tensor is not computed from quantized tensors by one of the rules."""


class _Runner:
    def __init__(
        self,
        program: ExportedProgram,
        image: NDArray[np.uint8],
        given: Mapping[str, NDArray[np.int8]] | None,
        starts: Sequence[NDArray[np.int8]],
    ) -> None:
        self.graph = program.graph
        self.constants = _constants(program)
        (self.image_name,) = program.graph_signature.user_inputs
        self.image = image
        self.tensors: dict[str, NDArray[np.int8]] = {}
        self.given = self.tensors if given is None else given
        self.starts = list(starts)

    def run(self) -> BackboneRun:
        started = set()
        for node in self.graph.nodes:
            if _name(node) == "quantize_per_tensor.default":
                try:
                    self.tensors[node.name] = self._quantized(node)
                except _NoRule:
                    if self.starts:
                        self.tensors[node.name] = self.starts.pop(0)
                        started.add(node.name)
        assert not self.starts, "so many tensors are not quantized behind float operations"
        return BackboneRun(self.tensors, self._boundary(started))

    def _boundary(self, started: set[str]) -> list[str]:
        """The tensors where the paths back from the output, and from what was ``started`` with,
        meet integers."""
        done = {node for node in self.graph.nodes if node.name in self.tensors.keys() - started}
        pending = [node for node in self.graph.nodes if node.op == "output" or node.name in started]
        reached: set[Node] = set()
        while pending:
            node = pending.pop()
            if node not in reached:
                reached.add(node)
                if node not in done:
                    pending.extend(node.all_input_nodes)
        return [node.name for node in self.graph.nodes if node in reached & done]

    def _quantized(self, node: Node) -> NDArray[np.int8]:
        """int8 NHWC of a quantize ``node``."""
        output = _affine(node)
        table = self._table(node.args[0], output)
        if table is not None:
            return table
        if _name(node.args[0]) in _REARRANGING:
            return self._rearranged(node.args[0], output)
        source, low, high = node.args[0], ops.INT8_MIN, ops.INT8_MAX
        while _name(source) in _ACTIVATIONS:
            lower, upper = _limits(source, output)
            low, high = max(low, lower), min(high, upper)
            source = source.args[0]
        rule = _RULES.get(_name(source))
        if rule is None:
            raise _NoRule
        return rule(self, source, output, low, high)

    def _table(self, node: Node, output: Affine) -> NDArray[np.int8] | None:
        """The result of a chain of unary ops on 8-bit numbers, or None where it is none."""
        chain = []
        while _name(node) in UNARY and self._is_unary(node):
            chain.append(node)
            node = node.args[0]
        if _name(node) == "dequantize_per_tensor.default":
            data, parameters = self._operand(node)
            real = ops.dequantize(np.arange(-128, 128), parameters)
        elif _name(node) in _MOVERS and node.args[0].name == self.image_name:
            assert list(node.args[1]) == _MOVERS[_name(node)], "the image is not NHWC"
            data, real = self.image, np.arange(256).astype(np.float32)
        else:
            return None
        for call in reversed(chain):
            others = [self._other(call, arg, real) for arg in call.args[1:]]
            real = UNARY[_name(call)](real, *others, **call.kwargs).astype(np.float32)
        return ops.look_up(data, ops.quantize(real, output))

    def _rearranged(self, node: Node, output: Affine) -> NDArray[np.int8]:
        """What a chain of operators that compute nothing makes; bytes stay as they are."""
        chain = []
        while _name(node) in _REARRANGING:
            chain.append(node)
            node = node.args[0]
        numbers, parameters = self._operand(node)
        assert parameters == output
        tensor = torch.from_numpy(numbers)
        tensor = tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor
        for call in reversed(chain):
            tensor = call.target(tensor.contiguous(), *call.args[1:])
        tensor = tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor
        return tensor.contiguous().numpy()

    def _is_unary(self, node: Node) -> bool:
        others = [arg for arg in node.args[1:] if isinstance(arg, Node)]
        return all(arg is node.args[0] or arg.name in self.constants for arg in others)

    def _other(self, call: Node, argument: object, real: NDArray) -> object:
        """An operand of a chain's ``call`` beside the ``real`` numbers of the first: a number, one
        for each channel, or the same numbers."""
        if not isinstance(argument, Node):
            return argument
        if argument is call.args[0]:
            return real
        constant = self.constants[argument.name]
        if constant.size == 1:
            return constant.reshape(())
        assert constant.shape in ((1, constant.size, 1, 1), (constant.size,))
        return constant.reshape(-1, 1)

    def _operand(self, node: Node) -> tuple[NDArray[np.int8], Affine]:
        """The numbers behind a dequantize ``node`` and what they mean."""
        if _name(node) != "dequantize_per_tensor.default":
            raise _NoRule
        if node.args[0].name not in self.tensors:
            raise _NoRule
        return self.given[node.args[0].name], _affine(node)

    def _weight(self, node: Node) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """OIHW int8 and float32 [O] behind a dequantize_per_channel ``node``."""
        if _name(node) != "dequantize_per_channel.default":
            raise _NoRule
        weight, scale, zero_point = (self.constants[arg.name] for arg in node.args[:3])
        assert not zero_point.any() and node.args[3] == 0, "weights are not symmetric per channel"
        return weight, scale.astype(np.float32)

    def _conv2d(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, weight, bias, stride, padding, dilation, groups = (
            node.args + (None, [1, 1], [0, 0], [1, 1], 1)[len(node.args) - 2 :]
        )
        border = [0, 0, 0, 0]
        if _name(data) == "pad.default":
            data, (left, right, top, bottom), mode, value = (*data.args, "constant", 0)[:4]
            assert mode == "constant" and not value, "a border that is not of zeros"
            border = [top, left, bottom, right]
        numbers, parameters = self._operand(data)
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
        sign = -1 if _name(node) == "sub.Tensor" else 1
        multipliers = ops.add_multipliers(left.scale, sign * right.scale, output.scale)
        zero_points = left.zero_point, right.zero_point
        return ops.add(
            a, zero_points[0], b, zero_points[1], multipliers, output.zero_point, low, high
        )

    def _multiply(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        (a, left), (b, right) = (self._operand(arg) for arg in node.args)
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
        numbers, parameters = self._operand(data)
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

    def _term(self, node: Node) -> tuple[NDArray[np.int8], Affine]:
        """An operand of an add, with the number that it is multiplied by in its scale."""
        if _name(node) != "mul.Tensor" or isinstance(node.args[1], Node):
            return self._operand(node)
        numbers, parameters = self._operand(node.args[0])
        return numbers, Affine(parameters.scale * np.float32(node.args[1]), parameters.zero_point)

    def _mean(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, parameters = self._operand(node.args[0])
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
        data, parameters = self._operand(node.args[0])
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        return ops.resize_nearest(data, tuple(node.meta["val"].shape[2:]))

    def _concat(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        parts, parameters = zip(*(self._operand(arg) for arg in node.args[0]), strict=True)
        assert set(parameters) == {output} and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        assert node.args[1] == 1, "concat is not along the channels"
        return ops.concat(*parts)

    def _max_pool(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, kernel, stride, padding, dilation, _ = (
            node.args + ([], [0, 0], [1, 1], False)[len(node.args) - 2 :]
        )
        numbers, parameters = self._operand(data)
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        assert set(dilation) == {1}, "dilated"
        stride = stride or kernel
        end = _needed_padding(node, numbers, kernel, stride, padding)
        return ops.max_pool(numbers, tuple(kernel), tuple(stride), (*padding, *end))

    def _pixel_shuffle(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        numbers, parameters = self._operand(node.args[0])
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        return ops.pixel_shuffle(numbers, node.args[1])

    def _bilinear(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, _, align_corners, _ = node.args
        numbers, parameters = self._operand(data)
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        return ops.resize_bilinear(numbers, tuple(node.meta["val"].shape[2:]), align_corners)

    def _channel_maximum(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, axes, keepdim = node.args
        numbers, parameters = self._operand(data)
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        assert axes == [1] and keepdim
        return ops.channel_maximum(numbers)

    def _mean_over(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, axes, keepdim = node.args
        numbers, parameters = self._operand(data)
        assert keepdim and axes in ([1], [2, 3])
        count = numbers.shape[3] if axes == [1] else numbers.shape[1] * numbers.shape[2]
        multiplier = ops.mean_multiplier(parameters.scale, output.scale, count)
        rule = ops.channel_mean if axes == [1] else ops.mean
        return rule(numbers, parameters.zero_point, multiplier, output.zero_point, low, high)

    def _pad(self, node: Node, output: Affine, low: int, high: int) -> NDArray[np.int8]:
        data, (left, right, top, bottom), mode = (*node.args, "constant")[:3]
        numbers, parameters = self._operand(data)
        assert parameters == output and (low, high) == (ops.INT8_MIN, ops.INT8_MAX)
        return ops.border(numbers, (top, left, bottom, right), mode)


_RULES = {
    "conv2d.default": _Runner._conv2d,
    "add.Tensor": _Runner._add,
    "sub.Tensor": _Runner._add,
    "mul.Tensor": _Runner._multiply,
    "avg_pool2d.default": _Runner._average_pool,
    "adaptive_avg_pool2d.default": _Runner._mean,
    "upsample_nearest2d.vec": _Runner._upsample,
    "cat.default": _Runner._concat,
    "max_pool2d.default": _Runner._max_pool,
    "upsample_bilinear2d.vec": _Runner._bilinear,
    "amax.default": _Runner._channel_maximum,
    "mean.dim": _Runner._mean_over,
    "pad.default": _Runner._pad,
    "pixel_shuffle.default": _Runner._pixel_shuffle,
}


def _name(node: Node) -> str:
    """The operator's; what writes over its operand is called like what does not."""
    return getattr(node.target, "__name__", "").replace("_.", ".")


def _needed_padding(
    node: Node, data: NDArray, kernel: ArrayLike, stride: ArrayLike, padding: ArrayLike
) -> NDArray:
    """(bottom, right): what PyTorch's size, which may be rounded up, needs."""
    reach = (np.array(node.meta["val"].shape[2:]) - 1) * stride + kernel
    return np.maximum(padding, reach - data.shape[1:3] - padding)


def _affine(node: Node) -> Affine:
    _, scale, zero_point, low, high, dtype = node.args
    assert (low, high, dtype) == (ops.INT8_MIN, ops.INT8_MAX, torch.int8)
    return Affine(np.float32(scale), zero_point)


def _limits(activation: Node, output: Affine) -> tuple[int, int]:
    """The least and the greatest int8 number that an ``activation`` lets through."""
    if _name(activation) == "relu.default":
        return int(ops.quantize(0.0, output)), ops.INT8_MAX
    low, high = activation.args[1:3]
    return int(ops.quantize(low, output)), int(ops.quantize(high, output))


def _constants(program: ExportedProgram) -> dict[str, NDArray]:
    """Parameters, buffers and lifted tensors by the name of their placeholder."""
    tensors = {**program.state_dict, **program.constants}
    return {
        spec.arg.name: tensors[spec.target].detach().numpy()
        for spec in program.graph_signature.input_specs
        if spec.target is not None
    }
