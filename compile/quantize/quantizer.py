"""The quantization schemes, stated for PyTorch's PT2E flow (torchao).

Every tensor is quantized once, where it is produced, and all its readers see the same bytes. An
int8 part therefore has int8 tensors on every edge:

* activations: int8 per tensor, affine, -128..127;
* weights: int8 symmetric per output channel, -127..127, zero point 0; biases stay float and are
  folded by the compiler to int32 at s_x * s_w[c];
* a convolution with its ReLU or ReLU6 is one unit: only the activation's output is quantized;
* nearest upsampling and concat only move bytes: their inputs and output share scale and zero
  point (:mod:`compile.quantize.equalize` makes the ranges alike, so that this costs nothing);
* where the range is known beforehand, scale and zero point are fixed:
  see :mod:`compile.quantize.specifications`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch.fx import GraphModule, Node

from compile.networks.export_wrapper import ROOT
from compile.networks.parts import Parts, module_path
from compile.quantize.integer_kernels import activations_of, why_not_quantized
from compile.quantize.operations import (
    ACTIVATIONS,
    ARITHMETIC,
    CHAINED,
    MOVERS,
    REARRANGERS,
    SUMS,
)
from compile.quantize.precisions import precisions_of
from compile.quantize.pt2e import (
    QuantizationAnnotation,
    QuantizationSpec,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)
from compile.quantize.schemes import Precision, Scheme
from compile.quantize.specifications import (
    FIXED_OUTPUTS,
    IMAGE,
    OBSERVERS,
    SATURATION,
    Specifications,
    fixed_range,
)

aten = torch.ops.aten

_VECTOR = 2
"""Dimensions of what is left of a feature map where its rows and columns go."""


class SchemeQuantizer(Quantizer):
    """Annotates the graph of an exported network with a scheme.

    Attributes:
        convolutions: after ``annotate``, how many convolutions of each part have int8 weights.
        ranges: after ``annotate``, paths of the modules that known ranges can be of.
    """

    def __init__(
        self,
        scheme: Scheme,
        parts: Parts,
        known_ranges: Mapping[str, tuple[float, int]],
        specifications: Specifications = OBSERVERS,
        of_photographs: bool = True,
        root: str = ROOT,
    ) -> None:
        """For one scheme and one graph, whose operations belong to ``parts``. ``known_ranges`` are
        of arithmetic with constants: scale and zero point by the path of the module that does it.
        Inputs are photographs, whose range is known, or tensors. ``root`` is the path of the
        user's module, in which those of the scheme's rules are.
        """
        super().__init__()
        self._specifications = specifications
        self._inputs = IMAGE if of_photographs else specifications.activations
        self._parts = parts
        self._known_ranges = {path: fixed_range(*numbers) for path, numbers in known_ranges.items()}
        for known in scheme.ranges:
            fixed = fixed_range(known.scale, known.zero_point)
            self._known_ranges[f"{root}.{known.module}"] = fixed
        self._precisions = precisions_of(parts, scheme, root)
        self.convolutions: Counter[str] = Counter()
        self.ranges: set[str] = set()

    def annotate(self, model: GraphModule) -> GraphModule:
        """Say of every operation which of its tensors are quantized, and how."""
        nodes = [node for node in model.graph.nodes if self._is_ours(node)]
        groups = self._sharing_groups([node for node in nodes if self._in_int8(node)])
        for node in nodes:
            inputs: dict[Node, QuantizationSpecBase] = {}
            output = None
            if node.target is aten.conv2d.default:
                inputs[node.args[1]] = self._specifications.weights
                self.convolutions[self._parts[node]] += 1
            if self._in_int8(node):
                output = groups.get(node)
                read = self._float_inputs(node)
                if node.target in MOVERS | REARRANGERS and output is not None:
                    output = self._shared(node, read, output)
                inputs |= read
            node.meta["quantization_annotation"] = QuantizationAnnotation(
                inputs, output, _annotated=True
            )
        return model

    def validate(self, model: GraphModule) -> None:
        """Nothing: :func:`compile.quantize.quantize.quantize_network` checks the result."""

    def _is_ours(self, node: Node) -> bool:
        if node.op != "call_function" or why_not_quantized(node):
            return False
        return self._precision(node) is not Precision.FLOAT

    def _in_int8(self, node: Node) -> bool:
        if not self._is_ours(node) or self._precision(node) is not Precision.INT8:
            return False
        # What is put into another order is int8 where it was.
        return node.target not in REARRANGERS or self._is_byte(_rearranged(node))

    def _is_byte(self, node: Node) -> bool:
        """Whether ``node`` is int8, or the photograph."""
        return node not in self._parts or self._in_int8(node)

    def _float_inputs(self, node: Node) -> dict[Node, QuantizationSpecBase]:
        """How the tensors that ``node`` reads are quantized that are not made in int8. A function
        of the photograph is one of its bytes."""
        inputs: dict[Node, QuantizationSpecBase] = {}
        for source in activations_of(node):
            is_inside = source in self._parts
            if self._in_int8(source) or (_is_chained(node) and not is_inside):
                continue
            inputs[source] = self._specifications.activations if is_inside else self._inputs
            if is_inside and _is_share(source):
                inputs[source] = IMAGE
        return inputs

    def _shared(
        self, node: Node, read: dict[Node, QuantizationSpecBase], output: QuantizationSpecBase
    ) -> QuantizationSpecBase:
        """How the result of ``node``, which moves bytes, is quantized so that what it reads of
        floats, ``read``, is quantized first, and as ``output`` says. A photograph is so already."""
        for source in read:
            if source not in self._parts and self._inputs is IMAGE:
                continue
            if isinstance(output, SharedQuantizationSpec):
                read[source] = output
            else:
                read[source], output = output, SharedQuantizationSpec((source, node))
        return output

    def _precision(self, node: Node) -> Precision:
        return self._precisions.get(node, Precision.FLOAT)

    def _sharing_groups(self, nodes: list[Node]) -> dict[Node, QuantizationSpecBase]:
        """How the output of each of ``nodes`` (in the graph's order) is quantized.

        Bytes that are only moved keep scale and zero point, so the outputs fall into groups; the
        first of a group holds the specification and the others refer to it.
        """
        first = {
            node: node
            for node in nodes
            if self._is_output_quantized(node) and not self._is_factor(node)
        }
        fixed: dict[Node, QuantizationSpecBase] = {}

        def root(node: Node) -> Node:
            while first[node] is not node:
                node = first[node]
            return node

        order = {node: position for position, node in enumerate(nodes)}
        for node in first:
            if node.target in FIXED_OUTPUTS:
                fixed[node] = FIXED_OUTPUTS[node.target]
            elif _is_share(node):
                fixed[node] = IMAGE
            elif _has_range(node):
                self.ranges.add(module_path(node))
                if module_path(node) in self._known_ranges:
                    fixed[node] = self._known_ranges[module_path(node)]
        for node in nodes:
            if node.target not in MOVERS | REARRANGERS or node not in first:
                continue
            for source in activations_of(node):
                while source not in first and source.target in REARRANGERS:
                    (source,) = activations_of(source)
                if source not in first:
                    if source not in self._parts:
                        fixed[root(node)] = self._inputs
                    continue
                low, high = sorted((root(source), root(node)), key=order.__getitem__)
                first[high] = low
                if high in fixed:
                    fixed[low] = fixed.pop(high)
        return {
            node: fixed.get(node, self._observed(node))
            if root(node) is node
            else SharedQuantizationSpec(root(node))
            for node in first
        }

    def _is_factor(self, node: Node) -> bool:
        """Whether ``node`` is a number times an int8 tensor that is added to another one: it is in
        the multipliers of that."""
        sources, users = activations_of(node), list(node.users)
        if node.target is not aten.mul.Tensor or len(sources) != 1 or len(users) != 1:
            return False
        is_added = users[0].target in SUMS and len(activations_of(users[0])) == 2
        is_number = isinstance(node.args[1], int | float) and node.args[1] != 0
        is_int8 = self._in_int8(users[0]) and self._in_int8(sources[0])
        return is_added and is_number and is_int8 and not _is_chained(sources[0])

    def _observed(self, node: Node) -> QuantizationSpec:
        shape = tuple(node.meta["val"].shape)
        one_pixel = len(shape) == _VECTOR or shape[-2:] == (1, 1)
        # Of bytes that are moved others read some, too.
        may_end = node.target not in MOVERS | REARRANGERS and all(map(self._in_int8, node.users))
        ends = {user.target for user in node.users} if may_end else set()
        limits = SATURATION.get(ends.pop()) if len(ends) == 1 else None
        return self._specifications.observed(one_pixel, limits)

    def _is_output_quantized(self, node: Node) -> bool:
        """False for what is inside a unit: a convolution before its activation, 2x before the - 1,
        what is put into yet another order."""
        users = list(node.users)
        if node.target is aten.conv2d.default:
            return not (len(users) == 1 and users[0].target in ACTIVATIONS)
        if _is_border_of_convolutions(node):
            return False
        if node.target in REARRANGERS and users:
            return not all(user.target in REARRANGERS and self._in_int8(user) for user in users)
        if _is_chained(node):
            return not users or not all(map(self._goes_on, users))
        return True

    def _goes_on(self, node: Node) -> bool:
        """Whether ``node`` is of the same unit as the function of one tensor before it."""
        return _is_chained(node) or (node.target in ACTIVATIONS and self._in_int8(node))


def _rearranged(node: Node) -> Node:
    """What ``node`` puts into another order, by itself or with those before it."""
    while node.target in REARRANGERS:
        (node,) = activations_of(node)
    return node


def _is_scaling(node: Node) -> bool:
    """Whether ``node`` is arithmetic with a constant, as in 2x - 1."""
    return node.target in ARITHMETIC and len(activations_of(node)) == 1


def _has_range(node: Node) -> bool:
    """Whether a network can say what range the numbers of ``node`` have."""
    return _is_scaling(node) or node.target is aten.conv2d.default


def _is_chained(node: Node) -> bool:
    """Whether ``node`` is a link of a chain of functions of one tensor, which are one table."""
    sources = activations_of(node)
    is_square = node.target is aten.mul.Tensor and len(sources) == 2 and sources[0] is sources[1]
    return is_square or _is_scaling(node) or node.target in CHAINED


def _is_share(node: Node) -> bool:
    """Whether ``node`` is a number from 0 to 1 in which both have to be exact: a clamp, or what it
    leaves of 1."""
    if node.target is aten.rsub.Scalar and node.args[1] == 1:
        source = node.args[0]
        return isinstance(source, Node) and _is_share(source)
    return node.target is aten.clamp.default and tuple(node.args[1:]) == (0, 1)


def _is_border_of_convolutions(node: Node) -> bool:
    """Whether ``node`` puts zeros around what only convolutions read: they do that themselves."""
    if node.target is not aten.pad.default:
        return False
    widths, mode, value = (*node.args[1:], "constant", None)[:3]
    assert isinstance(widths, list | tuple)
    is_zero = mode == "constant" and not value and min(widths) >= 0 and len(widths) == 4
    return is_zero and all(user.target is aten.conv2d.default for user in node.users)
