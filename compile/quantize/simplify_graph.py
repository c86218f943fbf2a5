"""Write what an exported graph says in several ways in one: as the operations that have kernels.

Nothing that is computed changes. It comes before anything is quantized, since each operation that
is left is quantized by itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

aten = torch.ops.aten

#: What gives its first operand back; drop-outs do so in evaluation mode.
_IDENTITIES = {aten.contiguous.default, aten.clone.default, aten.alias.default}
_DROPOUTS = {aten.dropout.default, aten.dropout_.default, aten.feature_dropout.default}

#: What writes its result over its first operand, and what does not; and a view, which only some
#: orders of numbers in memory allow.
_OTHER_FORMS = {
    aten.view.default: aten.reshape.default,
    aten.hardswish_.default: aten.hardswish.default,
    aten.hardsigmoid_.default: aten.hardsigmoid.default,
    aten.mul_.Tensor: aten.mul.Tensor,
    aten.sub_.Tensor: aten.sub.Tensor,
    aten.div_.Tensor: aten.div.Tensor,
    aten.clamp_.default: aten.clamp.default,
    aten.sigmoid_.default: aten.sigmoid.default,
    aten.tanh_.default: aten.tanh.default,
    aten.exp_.default: aten.exp.default,
}

_CHANNELS = 1
_DIMENSIONS = 4


def simplify_graph(program: ExportedProgram) -> None:
    """Rewrite the graph of ``program``, in evaluation mode, in place:

    * what does nothing goes;
    * what writes over its operand does not, and what reads that later reads the result;
    * parts of a chunk or a split are slices;
    * a mean over rows and columns is a pooling, flattened where the dimensions go;
    * channels that a view, a transposition and a view shuffle are a channel shuffle;
    * an activation of what a convolution makes, put into another order, comes before that.
    """
    graph = program.graph
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if _is_in_place(node):
            _read_result(node)
        node.target = _OTHER_FORMS.get(node.target, node.target)
        rewrite = _REWRITES.get(node.target)
        if node.target in _IDENTITIES or node.target in _DROPOUTS and not (*node.args, True)[2]:
            _replace(node, _operand(node))
        elif rewrite is not None:
            rewrite(node)
    graph.lint()
    program.graph_module.recompile()


def _is_in_place(node: fx.Node) -> bool:
    packet = getattr(getattr(node.target, "overloadpacket", None), "__name__", "")
    return packet.endswith("_") and not packet.startswith("_")


def _read_result(node: fx.Node) -> None:
    """Have what reads the first operand of ``node`` behind it read its result."""
    source, behind = _operand(node), set[fx.Node]()
    following = node.next
    while following.op != "root":
        behind.add(following)
        following = following.next
    source.replace_all_uses_with(node, lambda user: user in behind)


def _operand(node: fx.Node) -> fx.Node:
    source = node.args[0]
    assert isinstance(source, fx.Node)
    return source


def _replace(node: fx.Node, by: fx.Node) -> None:
    node.replace_all_uses_with(by)
    node.graph.erase_node(node)


def _insert(node: fx.Node, target: Callable[..., Any], *args: Any) -> fx.Node:
    """A call before ``node``, as from the same place in the network."""
    with node.graph.inserting_before(node):
        new = node.graph.call_function(target, args)
    new.meta = dict(node.meta)
    values = [arg.meta["val"] if isinstance(arg, fx.Node) else arg for arg in args]
    new.meta["val"] = target(*values)
    return new


def _shape(node: fx.Node) -> tuple[int, ...]:
    return tuple(int(extent) for extent in node.meta["val"].shape)


def _slices(node: fx.Node) -> None:
    """Each part of a chunk or a split that is read, as a slice."""
    (source, *_), (axis,) = node.args, (*node.args[2:], node.kwargs.get("dim", 0))[:1]
    assert isinstance(source, fx.Node) and isinstance(axis, int)
    axis %= len(_shape(source))
    ends = list(_ends(part.shape[axis] for part in node.meta["val"]))
    for user in list(node.users):
        assert user.target is operator.getitem
        number = user.args[1]
        assert isinstance(number, int)
        first = ends[number - 1] if number else 0
        _replace(user, _insert(user, aten.slice.Tensor, source, axis, first, ends[number]))
    node.graph.erase_node(node)


def _ends(extents: Iterator[int]) -> Iterator[int]:
    end = 0
    for extent in extents:
        end += int(extent)
        yield end


def _mean(node: fx.Node) -> None:
    """A mean of rows and columns of a feature map."""
    arguments: tuple[Any, ...] = node.args
    source, axes, *keep = arguments
    keeps = bool(keep[0]) if keep else bool(node.kwargs.get("keepdim", False))
    assert isinstance(source, fx.Node)
    if len(_shape(source)) != _DIMENSIONS or not isinstance(axes, list | tuple):
        return
    if {int(axis) % _DIMENSIONS for axis in axes} != {2, 3} or node.kwargs.get("dtype"):
        return
    pooled = _insert(node, aten.adaptive_avg_pool2d.default, source, [1, 1])
    _replace(node, pooled if keeps else _insert(node, aten.flatten.using_ints, pooled, 1))


def _channel_shuffle(node: fx.Node) -> None:
    """The last of three that shuffle channels: [N,C,H,W] as [N,G,C/G,H,W], G and C/G exchanged."""
    exchanged = _operand(node)
    if exchanged.target not in (aten.transpose.int, aten.permute.default):
        return
    blocks = _operand(exchanged)
    if blocks.target is not aten.reshape.default:
        return
    source = _operand(blocks)
    shape, split, result = (_shape(one) for one in (source, blocks, node))
    wanted = (*split[:1], split[2], split[1], *split[3:])
    is_whole = len(split) == _DIMENSIONS + 1 and split[1] * split[2] == shape[_CHANNELS]
    if not is_whole or _shape(exchanged) != wanted or shape != result:
        return
    if (shape[0], *shape[2:]) != (split[0], *split[3:]) or split[1] == split[2] == 1:
        return
    axes: Any = exchanged.args[1:]
    if exchanged.target is aten.permute.default:
        (axes,) = axes
    if [int(axis) % len(split) for axis in axes] not in ([1, 2], [2, 1], [0, 2, 1, 3, 4]):
        return
    _replace(node, _insert(node, aten.channel_shuffle.default, source, split[1]))
    for one in (exchanged, blocks):
        if not one.users:
            one.graph.erase_node(one)


def _activation(node: fx.Node) -> None:
    """A limit of what a convolution has made, as that of a dense layer, whose rows are put into
    another order."""
    last = source = _operand(node)
    while source.target in _REORDERING and len(source.users) == 1:
        last, source = source, _operand(source)
    if source is last or source.target is not aten.conv2d.default or len(source.users) != 1:
        return
    target = _ACTIVATIONS[node.target]
    with node.graph.inserting_after(source):
        limited = node.graph.call_function(target, (source, *node.args[1:]))
    limited.meta = {**node.meta, "val": target(source.meta["val"], *node.args[1:])}
    last.replace_input_with(source, limited)
    _replace(node, _operand(node))


_REORDERING = {
    aten.permute.default, aten.reshape.default, aten.view.default, aten.flatten.using_ints,
    aten.squeeze.dims, aten.squeeze.dim, aten.transpose.int, aten.unsqueeze.default,
}  # fmt: skip

_ACTIVATIONS: dict[Any, Any] = {
    aten.relu.default: aten.relu.default,
    aten.relu_.default: aten.relu.default,
    aten.relu6.default: aten.relu6.default,
    aten.relu6_.default: aten.relu6.default,
    aten.hardtanh.default: aten.hardtanh.default,
    aten.hardtanh_.default: aten.hardtanh.default,
}

_REWRITES: dict[Any, Callable[[fx.Node], None]] = {
    aten.chunk.default: _slices,
    aten.split.Tensor: _slices,
    aten.split_with_sizes.default: _slices,
    aten.mean.dim: _mean,
    aten.reshape.default: _channel_shuffle,
    aten.flatten.using_ints: _channel_shuffle,
    **dict.fromkeys(_ACTIVATIONS, _activation),
}
