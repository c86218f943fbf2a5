"""The layer of every imported op: the PyTorch module that it was traced from, and its node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
from torch import fx
from torch.export import ExportedProgram
from tvm import relax

from compile.graph.layers import Mark, label_calls
from compile.networks.parts import module_path
from compile.networks.quantized_ops import DEQUANTIZE, QUANTIZE
from compile.quantize.operations import ACTIVATIONS

#: What belongs to the layer before it, as every kernel of ours computes it: a convolution with its
#: activation is one, and (de)quantize is traced from no module.
_FOLLOWING = ACTIVATIONS | {QUANTIZE, DEQUANTIZE}


def name_layers(
    mod: tvm.IRModule, program: ExportedProgram, imported: Mapping[fx.Node, Any]
) -> tvm.IRModule:
    """``mod``, whose variables hold what the nodes of ``program`` compute as ``imported`` says,
    with the qualified names of their modules and their numbers in the graph on its calls (see
    :mod:`compile.graph.layers`)."""
    layers: dict[fx.Node, str] = {}
    numbers: dict[relax.Var, int] = {}
    variables = {}
    for number, node in enumerate(program.graph.nodes):
        if node.op != "call_function":
            continue
        layers[node] = module_path(node)
        if node.target in _FOLLOWING:
            layers[node] = layers.get(node.args[0], "")
        variable = imported[node]
        if isinstance(variable, relax.Var):
            # Some nodes do nothing, and have the variable of what they do it to.
            numbers.setdefault(variable, number)
            variables[variable] = (Mark(layers[node], numbers[variable]),)
    mod = mod.clone()
    mod.update_func(mod.get_global_var("main"), label_calls(mod["main"], variables))
    return mod
