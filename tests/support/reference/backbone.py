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
from numpy.typing import NDArray
from torch.export import ExportedProgram
from torch.fx import Node

from reference import ops
from reference.functions import UNARY
from reference.ops import Affine
from reference.rules import RULES, NoRule, Rules, affine_of, name_of

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


class _Runner(Rules):
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
            if name_of(node) == "quantize_per_tensor.default":
                try:
                    self.tensors[node.name] = self._quantized(node)
                except NoRule:
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
        output = affine_of(node)
        table = self._table(node.args[0], output)
        if table is not None:
            return table
        if name_of(node.args[0]) in _REARRANGING:
            return self._rearranged(node.args[0], output)
        source, low, high = node.args[0], ops.INT8_MIN, ops.INT8_MAX
        while name_of(source) in _ACTIVATIONS:
            lower, upper = _limits(source, output)
            low, high = max(low, lower), min(high, upper)
            source = source.args[0]
        rule = RULES.get(name_of(source))
        if rule is None:
            raise NoRule
        return rule(self, source, output, low, high)

    def _table(self, node: Node, output: Affine) -> NDArray[np.int8] | None:
        """The result of a chain of unary ops on 8-bit numbers, or None where it is none."""
        chain = []
        while name_of(node) in UNARY and self._is_unary(node):
            chain.append(node)
            node = node.args[0]
        if name_of(node) == "dequantize_per_tensor.default":
            data, parameters = self.operand(node)
            real = ops.dequantize(np.arange(-128, 128), parameters)
        elif name_of(node) in _MOVERS and node.args[0].name == self.image_name:
            assert list(node.args[1]) == _MOVERS[name_of(node)], "the image is not NHWC"
            data, real = self.image, np.arange(256).astype(np.float32)
        else:
            return None
        for call in reversed(chain):
            others = [self._other(call, arg, real) for arg in call.args[1:]]
            real = UNARY[name_of(call)](real, *others, **call.kwargs).astype(np.float32)
        return ops.look_up(data, ops.quantize(real, output))

    def _rearranged(self, node: Node, output: Affine) -> NDArray[np.int8]:
        """What a chain of operators that compute nothing makes; bytes stay as they are."""
        chain = []
        while name_of(node) in _REARRANGING:
            chain.append(node)
            node = node.args[0]
        numbers, parameters = self.operand(node)
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


def _limits(activation: Node, output: Affine) -> tuple[int, int]:
    """The least and the greatest int8 number that an ``activation`` lets through."""
    if name_of(activation) == "relu.default":
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
