"""The one form of quantized graphs that the compiler reads, from those that quantizers write.

Activations are int8 from -128 to 127, by tensor; weights are int8 constants with a scale for each
output channel; all other constants are floats.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from compile.networks.quantized_ops import (
    DEQUANTIZE,
    DEQUANTIZE_PER_CHANNEL,
    QUANTIZE,
    QUANTIZE_PER_CHANNEL,
)

_WEIGHTED = (torch.ops.aten.conv2d.default, torch.ops.aten.conv2d.padding)
_UINT8 = (0, 255, torch.uint8)
_INT8 = (-128, 127, torch.int8)
_FROM_UINT8 = 128


def bring_into_form(graph_module: fx.GraphModule) -> None:
    """Rewrite ``graph_module`` in place; what has another form and cannot be rewritten stays."""
    for node in list(graph_module.graph.nodes):
        if node.target in (QUANTIZE, DEQUANTIZE):
            _to_int8(node)
        if node.target in (QUANTIZE, QUANTIZE_PER_CHANNEL) and _is_constant(node.args[0]):
            _replace_by_constant(graph_module, node)
    for node in list(graph_module.graph.nodes):
        if node.target not in (DEQUANTIZE, DEQUANTIZE_PER_CHANNEL) or not _is_constant(
            node.args[0]
        ):
            continue
        is_weight = all(user.target in _WEIGHTED and user.args[1] is node for user in node.users)
        if not is_weight or _value(graph_module, node.args[0]).dtype is not torch.int8:
            _replace_by_constant(graph_module, node)
        elif node.target is DEQUANTIZE:
            _by_channel(graph_module, node)
    graph_module.graph.eliminate_dead_code()
    graph_module.recompile()


def _to_int8(node: fx.Node) -> None:
    """A tensor of uint8, 128 less."""
    data, scale, zero_point, *limits = node.args
    if tuple(limits) == _UINT8 and not _is_constant(data):
        assert isinstance(zero_point, int)
        node.args = (data, scale, zero_point - _FROM_UINT8, *_INT8)
    elif node.target is DEQUANTIZE and tuple(limits)[2:] == _INT8[2:]:
        # These limits do nothing here.
        node.args = (data, scale, zero_point, *_INT8)


def _is_constant(node: Any) -> bool:
    return isinstance(node, fx.Node) and node.op == "get_attr"


def _value(graph_module: fx.GraphModule, node: Any) -> Any:
    if not _is_constant(node):
        return node
    value: Any = graph_module
    for name in node.target.split("."):
        value = getattr(value, name)
    return value


def _replace_by_constant(graph_module: fx.GraphModule, node: fx.Node) -> None:
    args = [_value(graph_module, arg) for arg in node.args]
    with torch.no_grad():
        _replace(graph_module, node, "value", node.target(*args, **node.kwargs))  # type: ignore[operator]


def _replace(graph_module: fx.GraphModule, node: fx.Node, name: str, value: Tensor) -> None:
    node.replace_all_uses_with(_constant(graph_module, node, name, value))
    graph_module.graph.erase_node(node)


def _constant(graph_module: fx.GraphModule, node: fx.Node, name: str, value: Tensor) -> fx.Node:
    """A new constant of what ``node`` computes, read before it."""
    attribute = f"{node.name}_{name}"
    graph_module.register_buffer(attribute, value)
    with graph_module.graph.inserting_before(node):
        return graph_module.graph.get_attr(attribute)


def _by_channel(graph_module: fx.GraphModule, node: fx.Node) -> None:
    """Weights with one scale, as weights with the same one for each output channel."""
    weight, scale, zero_point = node.args[:3]
    assert isinstance(scale, float) and isinstance(zero_point, int)
    channels = len(_value(graph_module, weight))
    scales = torch.full((channels,), scale, dtype=torch.float32)
    zero_points = torch.full((channels,), zero_point, dtype=torch.int64)
    node.args = (
        weight,
        _constant(graph_module, node, "scales", scales),
        _constant(graph_module, node, "zero_points", zero_points),
        0,
        *_INT8,
    )
    node.target = DEQUANTIZE_PER_CHANNEL
