"""Make the channels of what convolutions hand to each other alike in range, in any network.

Where a convolution's output, rectified or not, is read by nothing but other convolutions, a scale
per channel moves from its weights to theirs and the network computes the same (cross-layer
equalization: Nagel et al., ICCV 2019, section 4.1). Theirs evens out the weights, which have a
scale per channel here; what is evened out here are the activations, which have one for all. It is
done half-way, as in :mod:`compile.quantize.equalize`, where a network names the tensors of its
concats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from compile.networks.parts import module_path
from compile.quantize.equalize import LEAST_PEAK, channel_peaks

aten = torch.ops.aten

_RECTIFIERS = {aten.relu.default, aten.relu_.default}
#: What scales with what it reads, channel by channel, whatever is chosen or repeated.
_MOVERS = {aten.max_pool2d.default, aten.upsample_nearest2d.vec, aten.avg_pool2d.default}


@dataclass(frozen=True)
class _Reader:
    """A convolution that reads the tensor as its input channels from ``first`` on."""

    conv: nn.Conv2d
    first: int


def equalize_layers(
    net: nn.Module, graph: fx.Graph, root: str, images: Tensor, done: Collection[nn.Module] = ()
) -> int:
    """Scale, in place, what convolutions of ``net`` hand to each other; return of how many.

    ``graph`` was exported with ``net``, its batch norms folded, at the path ``root``; ``images``
    are float32 [N, C, H, W] in [0, 1] and give the ranges. Convolutions that are ``done`` stay.
    """
    found = list(_scalable(net, graph, root, {*done}))
    peaks = channel_peaks(net, [conv for conv, _ in found], images)
    for conv, readers in found:
        scale = _even_scale(peaks[conv])
        conv.weight.data *= scale[:, None, None, None]
        if conv.bias is not None:
            conv.bias.data *= scale
        for reader in readers:
            _divide_inputs(reader, scale)
    return len(found)


def _even_scale(peaks: Tensor) -> Tensor:
    """Scale per channel, [C]: 1 for the one of the largest peak, and for the others the root of
    what they lack of it. 1 where all channels are dead."""
    largest = peaks.max()
    if not largest:
        return torch.ones_like(peaks)
    return (largest / peaks.clamp_min(largest * LEAST_PEAK)).sqrt()


def _divide_inputs(reader: _Reader, scale: Tensor) -> None:
    weight, channels = reader.conv.weight.data, slice(reader.first, reader.first + len(scale))
    if reader.conv.groups == 1:
        weight[:, channels] /= scale[:, None, None]
    else:
        weight[channels] /= scale[:, None, None, None]


def _scalable(
    net: nn.Module, graph: fx.Graph, root: str, done: set[nn.Module]
) -> Iterator[tuple[nn.Conv2d, Sequence[_Reader]]]:
    calls = Counter(module_path(node) for node in graph.nodes if node.target is aten.conv2d.default)
    convs = {
        node: conv
        for node in graph.nodes
        if node.target is aten.conv2d.default
        and calls[path := module_path(node)] == 1
        and isinstance(conv := _submodule(net, path.removeprefix(f"{root}.")), nn.Conv2d)
        and conv not in done
    }
    for node, conv in convs.items():
        readers = _readers(node, 0, convs)
        if readers:
            yield conv, readers


def _submodule(net: nn.Module, path: str) -> nn.Module | None:
    try:
        return net.get_submodule(path)
    except AttributeError:  # A function of the user's own.
        return None


def _readers(node: fx.Node, first: int, convs: dict[fx.Node, nn.Conv2d]) -> list[_Reader] | None:
    """All that reads ``node``, whose channels begin at ``first``, where it is convolutions only."""
    found = []
    for user in node.users:
        if user in convs and user.args[0] is node:
            conv = convs[user]
            # A depthwise one reads and gives the same channels; others in groups are not worth it.
            if conv.groups not in (1, conv.in_channels):
                return None
            found.append(_Reader(conv, first))
            continue
        start = first
        if user.target is aten.cat.default and (*user.args, 0)[1] == 1:
            joined = user.args[0]
            assert isinstance(joined, list | tuple)
            if joined.count(node) != 1:
                return None
            before = [one for one in joined[: joined.index(node)] if isinstance(one, fx.Node)]
            start += sum(int(one.meta["val"].shape[1]) for one in before)
        elif user.target not in _RECTIFIERS | _MOVERS:
            return None
        behind = _readers(user, start, convs)
        if behind is None:
            return None
        found += behind
    return found or None
