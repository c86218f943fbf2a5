"""Refuse an exported program that the compiler cannot take, before anything is built from it."""

from __future__ import annotations

import torch
from torch import fx
from torch.export import ExportedProgram

from compile.frontend.compared_ops import COMPARED_OPS
from compile.frontend.converters import CONVERTERS
from compile.frontend.node_origin import module_of
from compile.support.errors import GraphError


def check_program(program: ExportedProgram) -> None:
    """Raise where ``program`` has an operator, an input or a weight that cannot be imported.

    Raises:
        GraphError: names the operator, the node and the module that it came from.
    """
    known = COMPARED_OPS | set(CONVERTERS)
    inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.name in inputs:
            _check_batch(node)
        if node.op != "call_function":
            continue
        name = getattr(node.target, "__name__", str(node.target))
        if name not in known:
            raise GraphError(
                f"operator {name} ({node.name} in {module_of(node)}) has no counterpart in Relax "
                "that was compared with PyTorch: replace it in the network or add it to "
                "compile/frontend/converters.py"
            )
        if name == "dequantize_per_channel.default":
            _check_symmetric(program, node)


def _check_batch(node: fx.Node) -> None:
    shape: tuple[int, ...] = getattr(node.meta.get("val"), "shape", ())
    if len(shape) == 4 and shape[0] != 1:
        raise GraphError(
            f"input {node.name} holds {shape[0]} pictures: export the network for a batch of 1, "
            "which is what the kernels take"
        )


def _check_symmetric(program: ExportedProgram, node: fx.Node) -> None:
    argument = node.args[2]
    assert argument is None or isinstance(argument, fx.Node)
    zero_points = _tensor_of(program, argument)
    if zero_points is not None and torch.count_nonzero(zero_points):
        raise GraphError(
            f"{node.name}: weights of {module_of(node)} have zero points other than 0; "
            "quantize weights symmetrically"
        )


def _tensor_of(program: ExportedProgram, node: fx.Node | None) -> torch.Tensor | None:
    """The parameter, buffer or constant behind a placeholder ``node``."""
    if node is None:
        return None
    for spec in program.graph_signature.input_specs:
        if getattr(spec.arg, "name", None) == node.name:
            return program.state_dict.get(spec.target, program.constants.get(spec.target))
    raise GraphError(f"{node.name}: zero points must be constants of the program")
