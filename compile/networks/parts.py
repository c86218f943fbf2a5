"""Which part of a network, by precision, each operation of its exported graph belongs to.

Under a scheme with two precisions the activations of the backbone are int8 and those of the head
are floats; both may come more than once. A part is given by the path of a module, as in
``net.backbone``, in which ``*`` is any one name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import fx

from compile.support.errors import MqnetError

BACKBONE, HEAD = "backbone", "head"

FLOAT = "float"
"""Of what is in float under every scheme."""

Parts = Mapping[fx.Node, str]
"""The part of each operation inside of the network; what is around it has none."""


def module_path(node: fx.Node) -> str:
    """Where in the network ``node`` was called, such as ``net.head.conv1``; "" if unknown."""
    stack = node.meta.get("nn_module_stack") or {}
    return [path for path, _ in stack.values()][-1] if stack else ""


def parts_by_backbone(graph: fx.Graph, backbone: str, in_float: str = "") -> dict[fx.Node, str]:
    """The backbone is each module at the path ``backbone``, the head all the rest of the network,
    whose own path is the first name of it. Modules at the path ``in_float`` are neither."""
    root = backbone.split(".")[0]
    paths = {FLOAT: in_float, BACKBONE: backbone, HEAD: root}
    parts = {}
    for node in graph.nodes:
        if _is_below(node, root):
            parts[node] = next(part for part, path in paths.items() if _is_below(node, path))
    return parts


def parts_by_head(graph: fx.Graph, root: str, heads: Sequence[str]) -> dict[fx.Node, str]:
    """The head is each of the modules at the paths ``heads`` and what is computed from it, the
    backbone all the rest of the network, whose own path is ``root``. Where none is given, the head
    begins at the convolutions that the output is computed from without another one between.

    Behind a head from which another one is computed, the next convolution is in a backbone again.

    Raises:
        MqnetError: no operation is below one of ``heads``.
    """
    nodes = [node for node in graph.nodes if _is_below(node, root)]
    begin = {
        node: head for head in heads for node in nodes if head and _is_below(node, head)
    } or dict.fromkeys(last_convolutions(graph), "")
    for head in {*heads} - {*begin.values()}:
        known = sorted({module_path(node) for node in nodes} - {root})
        raise MqnetError(
            f"no operation of the network is in the module {head.removeprefix(root + '.')!r}: "
            f"name one of {', '.join(path.removeprefix(root + '.') for path in known)}"
        )
    behind = _heads_around(graph.nodes, begin, lambda node: node.all_input_nodes)
    before = _heads_around(reversed(graph.nodes), begin, lambda node: list(node.users))
    parts: dict[fx.Node, str] = {}
    for node in nodes:
        above = {parts[source] for source in node.all_input_nodes if source in parts}
        is_head = node in begin or HEAD in above
        if node not in begin and before[node] - behind[node]:
            is_head = above == {HEAD} and node.target is not torch.ops.aten.conv2d.default
        parts[node] = HEAD if is_head else BACKBONE
    return parts


def _heads_around(
    nodes: Iterable[fx.Node],
    begin: Mapping[fx.Node, str],
    neighbours: Callable[[fx.Node], Sequence[fx.Node]],
) -> Mapping[fx.Node, set[str]]:
    """The heads, to which ``begin`` belong, that are reached from each of ``nodes``, itself
    included, by way of its ``neighbours``, which come earlier."""
    found: defaultdict[fx.Node, set[str]] = defaultdict(set)
    for node in nodes:
        found[node].update(*(found[other] for other in neighbours(node)))
        if node in begin:
            found[node].add(begin[node])
    return found


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
    if len(names) < len(wanted):
        return False
    return all(want in ("*", name) for name, want in zip(names, wanted, strict=False))
