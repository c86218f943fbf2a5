"""Which operations of an exported network have an integer kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Node

from compile.quantize.operations import ARITHMETIC, QUANTIZED

aten = torch.ops.aten

_FEATURE_MAP = 4
"""Dimensions of a feature map."""


def why_not_quantized(node: Node) -> str:
    """Why the operation ``node`` is in float under every scheme; "" where it need not be."""
    if node.target not in QUANTIZED:
        return "it has no integer kernel"
    if any(map(_holds_integers, (node, *activations_of(node)))):
        return "it computes integers or bools, exactly"
    if node.target is aten.cat.default:
        axis, is_map = (*node.args, 0)[1], node.meta["val"].ndim == _FEATURE_MAP
        is_along_channels = is_map and axis in (1, 1 - _FEATURE_MAP)
        return "" if is_along_channels else "tensors are joined along their channels only"
    if node.target is aten.div.Tensor:
        is_number = not isinstance(node.args[1], Node) or node.args[1].op == "get_attr"
        return "" if is_number else "a quotient of two tensors has no integer kernel"
    if node.target is aten.pad.default:
        given: tuple[Any, ...] = node.args[2:4]
        mode, value = given + ("constant", None)[len(given) :]
        widths = node.args[1]
        assert isinstance(widths, list | tuple)
        if mode == "constant" and (value or len(widths) > 4):
            return "a border of other numbers than zeros, or of channels, has no integer kernel"
        if mode not in ("reflect", "replicate", "constant"):
            return f"a border of mode {mode} has no integer kernel"
    if node.target is aten.amax.default and list(node.args[1:]) != [[1], True]:
        return "a maximum is lowered over channels only, with keepdim"
    if node.target is aten.mean.dim:
        axes, keepdim = (*node.args[1:], False)[:2]
        assert isinstance(axes, list | tuple)
        # Of four axes.
        if not keepdim or sorted(int(str(axis)) % 4 for axis in axes) not in ([1], [2, 3]):
            return "a mean is lowered over all channels or all pixels only, with keepdim"
    return ""


def _holds_integers(node: Node) -> bool:
    """Whether ``node`` is a tensor of integers or bools."""
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and not value.is_floating_point()


def activations_of(node: Node) -> list[Node]:
    """The tensors that ``node`` reads, without weights and other parameters."""
    if node.target is aten.cat.default:
        joined = node.args[0]
        assert isinstance(joined, list | tuple)
        return [arg for arg in joined if isinstance(arg, Node)]
    count = 2 if node.target in ARITHMETIC else 1
    return [arg for arg in node.args[:count] if isinstance(arg, Node) and arg.op != "get_attr"]
