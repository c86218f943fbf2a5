"""Which part of a network, by precision, each operation of its exported graph belongs to.

Under a scheme with two precisions the activations of the backbone are int8 and those of the head
are floats. A part is given by the path of a module, as in ``net.backbone``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import fx

from compile.support.errors import MqnetError

BACKBONE, HEAD = "backbone", "head"

Parts = Mapping[fx.Node, str]
"""The part of each operation inside of the network; what is around it has none."""


def module_path(node: fx.Node) -> str:
    """Where in the network ``node`` was called, such as ``net.head.conv1``; "" if unknown."""
    stack = node.meta.get("nn_module_stack") or {}
    return [path for path, _ in stack.values()][-1] if stack else ""


def parts_by_backbone(graph: fx.Graph, backbone: str) -> dict[fx.Node, str]:
    """The backbone is the module at the path ``backbone``, the head all the rest of the network,
    whose own path is the first name of it."""
    root = backbone.split(".")[0]
    return {
        node: BACKBONE if _is_below(node, backbone) else HEAD
        for node in graph.nodes
        if _is_below(node, root)
    }


def parts_by_head(graph: fx.Graph, root: str, head: str) -> dict[fx.Node, str]:
    """The head is the module at the path ``head`` and what is computed from it, the backbone all
    the rest of the network, whose own path is ``root``. Where ``head`` is "", the head begins at
    the convolutions that the output is computed from without another convolution between.

    Raises:
        MqnetError: no operation is below ``head``.
    """
    nodes = [node for node in graph.nodes if _is_below(node, root)]
    if head:
        begin = {node for node in nodes if _is_below(node, head)}
        if not begin:
            known = sorted({module_path(node) for node in nodes} - {root})
            raise MqnetError(
                f"no operation of the network is in the module {head.removeprefix(root + '.')!r}: "
                f"name one of {', '.join(path.removeprefix(root + '.') for path in known)}"
            )
    else:
        begin = set(last_convolutions(graph))
    parts: dict[fx.Node, str] = {}
    for node in nodes:
        above = {parts.get(source) for source in node.all_input_nodes}
        parts[node] = HEAD if node in begin or HEAD in above else BACKBONE
    return parts


def last_convolutions(graph: fx.Graph) -> Iterator[fx.Node]:
    """The convolutions that the graph's output is computed from without another one between."""
    pending, seen = [*graph.output_node().all_input_nodes], set[fx.Node]()
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.target is torch.ops.aten.conv2d.default:
            yield node
        else:
            pending.extend(node.all_input_nodes)


def _is_below(node: fx.Node, path: str) -> bool:
    names, wanted = module_path(node).split("."), path.split(".")
    return names[: len(wanted)] == wanted
