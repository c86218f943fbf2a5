"""What the nodes of an exported program compute: the float network's, and the quantized one's.

Nodes are known by their number in the graph.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx
from torch.export import ExportedProgram

from compile.networks.parts import module_path
from compile.networks.quantized_ops import DEQUANTIZE, DEQUANTIZE_PER_CHANNEL, QUANTIZE
from compile.quantize.one_thread import one_thread
from compile.quantize.operations import ACTIVATIONS
from compile.quantize.resize_program import tensors_of
from compile.support.frame import Frame

_ROUNDING = {QUANTIZE, DEQUANTIZE, DEQUANTIZE_PER_CHANNEL}
#: What belongs to the layer before it.
_FOLLOWING = ACTIVATIONS | {QUANTIZE}

Values = Mapping[int, NDArray[Any]]


def evaluate_program(
    program: ExportedProgram,
    frame: Frame,
    wanted: Collection[int],
    given: Values = MappingProxyType({}),
) -> dict[int, NDArray[Any]]:
    """Compute a frame; the results of the nodes ``wanted``, in PyTorch's layout.

    ``given`` is read by later nodes instead of what was computed.
    """
    interpreter = _Interpreter(program, wanted, given)
    with one_thread(), torch.no_grad():
        interpreter.run(*_arguments(program, frame))
    return {number: made.numpy() for number, made in interpreter.found.items()}


def propagate_back(
    program: ExportedProgram, frame: Frame, wanted: Collection[int], errors: Values, at: Values
) -> dict[int, NDArray[Any]]:
    """What a change of each number of the nodes ``wanted`` does to the inner product of the
    program's results with ``errors``, which are by node: the transposed Jacobian, times those,
    where nodes have the values ``at``."""
    interpreter = _Interpreter(program, {*wanted, *errors}, at, with_gradients=True)
    with one_thread(), torch.enable_grad():
        interpreter.run(*_arguments(program, frame))
        found = {number: made for number, made in interpreter.found.items() if made.requires_grad}
        gradients = torch.autograd.grad(
            [found[number] for number in errors],
            list(found.values()),
            [torch.from_numpy(error) for error in errors.values()],
            allow_unused=True,
        )
    pairs = zip(found, gradients, strict=True)
    return {number: one.numpy() for number, one in pairs if one is not None}


def _arguments(program: ExportedProgram, frame: Frame) -> list[torch.Tensor]:
    inputs = [torch.from_numpy(np.array(one)) for one in frame]
    return [*(one.detach() for one in tensors_of(program)), *inputs]


def outputs_of(program: ExportedProgram) -> list[int]:
    """The nodes that make the results of ``program``."""
    numbers = {node: number for number, node in enumerate(program.graph.nodes)}
    results: Any = next(iter(reversed(program.graph.nodes))).args[0]
    return [numbers[node] for node in results]


class _Interpreter(fx.Interpreter):
    def __init__(
        self,
        program: ExportedProgram,
        wanted: Collection[int],
        given: Values,
        with_gradients: bool = False,
    ) -> None:
        super().__init__(program.graph_module)
        self.numbers = {node: number for number, node in enumerate(program.graph.nodes)}
        self.wanted, self.given, self.with_gradients = wanted, given, with_gradients
        self.found: dict[int, torch.Tensor] = {}

    def run_node(self, node: fx.Node) -> Any:
        result, number = super().run_node(node), self.numbers[node]
        if number in self.wanted:
            if self.with_gradients and result.is_floating_point() and not result.requires_grad:
                result = result.detach().requires_grad_()
            self.found[number] = result
        if number not in self.given:
            return result
        given = torch.from_numpy(self.given[number])
        # Another value, and the derivatives of the same operation.
        return result + (given - result).detach() if self.with_gradients else given


def pair_nodes(quantized: ExportedProgram, plain: ExportedProgram) -> dict[int, int]:
    """The node of the float network ``plain`` for each that computes the same in ``quantized``; for
    one that rounds the one that makes what is rounded.

    Raises:
        RuntimeError: the two are not the same network.
    """
    theirs = [number for number, node in enumerate(plain.graph.nodes) if _computes(node)]
    targets = [node.target for node in plain.graph.nodes if _computes(node)]
    numbers: dict[fx.Node, int] = {}
    for node in quantized.graph.nodes:
        if _computes(node):
            if len(numbers) == len(theirs) or targets[len(numbers)] is not node.target:
                raise RuntimeError(f"{node.name} is no operation of the float network")
            numbers[node] = theirs[len(numbers)]
    return {
        number: numbers[source]
        for number, node in enumerate(quantized.graph.nodes)
        if node.op == "call_function" and (source := _source(node)) in numbers
    }


def shapes_of(program: ExportedProgram) -> dict[int, tuple[tuple[int, ...], str]]:
    """Shape and dtype, as NumPy names it, of what each operation of ``program`` makes."""
    return {
        number: (tuple(made.shape), str(made.dtype).removeprefix("torch."))
        for number, node in enumerate(program.graph.nodes)
        if node.op == "call_function" and isinstance(made := node.meta.get("val"), torch.Tensor)
    }


def modules_of(program: ExportedProgram) -> dict[str, int]:
    """The node that makes what each PyTorch module of ``program`` gives, by the module's path: the
    last one in it or in a module in it, with the activation and the rounding behind it."""
    found: dict[str, int] = {}
    paths: dict[fx.Node, str] = {}
    for number, node in enumerate(program.graph.nodes):
        if node.op != "call_function" or node.target in (DEQUANTIZE, DEQUANTIZE_PER_CHANNEL):
            continue
        path = module_path(node)
        if node.target in _FOLLOWING:
            path = paths.get(_source(node) if node.target is QUANTIZE else node.args[0], path)
        paths[node] = path
        names = path.split(".") if path else []
        for length in range(1, len(names) + 1):
            found[".".join(names[:length])] = number
    return found


def dequantized(program: ExportedProgram) -> set[int]:
    """The nodes that make floats of integers."""
    nodes = enumerate(program.graph.nodes)
    return {number for number, node in nodes if node.target is DEQUANTIZE}


def rounded_before(program: ExportedProgram) -> dict[int, int]:
    """By the number of what rounds a tensor that is rounded already: that of what did so before."""
    numbers = {node: number for number, node in enumerate(program.graph.nodes)}
    return {
        numbers[node]: numbers[before]
        for node in program.graph.nodes
        if node.target is QUANTIZE
        and node.args[0].target is DEQUANTIZE
        and (before := node.args[0].args[0]).target is QUANTIZE
    }


def _computes(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target not in _ROUNDING


def _source(node: fx.Node) -> fx.Node:
    """What computes that which ``node`` rounds; itself where it does not."""
    while node.target in (QUANTIZE, DEQUANTIZE):
        source = node.args[0]
        assert isinstance(source, fx.Node)
        node = source
    return node
