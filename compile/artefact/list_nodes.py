"""The nodes of a quantized program, by which a build's calls are found in it again."""

from __future__ import annotations

from typing import Any

from torch.export import ExportedProgram

from compile.artefact.vector_file import ProgramNodes
from compile.networks.quantized_ops import QUANTIZE


def list_nodes(program: ExportedProgram) -> ProgramNodes:
    """List the nodes of ``program``, with scale and zero point of what is quantized per tensor."""
    names, scales = [], {}
    for number, node in enumerate(program.graph.nodes):
        names.append(node.name)
        if node.target is QUANTIZE:
            arguments: tuple[Any, ...] = node.args
            scales[number] = float(arguments[1]), int(arguments[2])
    return ProgramNodes(tuple(names), scales)
