"""Channel attentions that are stuck are made anew before a training goes on from older weights.

A gate far up or down the sigmoid has no gradient. Once the features in front of them have grown,
all gates of a block are 1 or 0 for every photograph, and the block has lost its view of the picture
as a whole: its exposure and the camera's curve. Two blocks of four were like that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compile.networks.mqnet.attention import ChannelAttention
from compile.networks.mqnet.network import InvertedResidual, MQNet

_LEAST_SLOPE = 1e-2
"""A gate is stuck that has, for every picture, less of a slope: it is within 0.01 of 0 or 1."""

# 0.88 where the sigmoid has a slope; from there on it learns.
_OPEN, _DEVIATION = 2.0, 1e-3


@dataclass(frozen=True)
class _Seen:
    """What went through a channel attention.

    Attributes:
        gates: float32 [N,C].
        means: float32 [C], of its input.
    """

    gates: Tensor
    means: Tensor


@torch.no_grad()
def revive_gates(net: MQNet, photos: Tensor) -> int:
    """Make the stuck gates of the channel attentions anew, in place; the network goes on computing
    what it did.

    Such a gate is nearly open afterwards, by weights near 0, and the batch norm in front of it
    gives that much more; a channel that was shut out comes out of its norm as 0, and learns.

    Args:
        net: in evaluation mode.
        photos: float32 [N,3,H,W] in [0, 1]; a gate is stuck that is 0 or 1 for all of them.

    Returns:
        how many gates were made anew.
    """
    blocks = {
        block.attention: block
        for block in net.modules()
        if isinstance(block, InvertedResidual) and isinstance(block.attention, ChannelAttention)
    }
    seen: dict[nn.Module, _Seen] = {}

    def look(attention: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        (x,) = inputs
        # Of the largest value, as it cannot be 0 but where the whole channel is.
        peaks, where = x.abs().flatten(2).max(2)
        at_peaks = output.flatten(2).gather(2, where[..., None])[..., 0]
        seen[attention] = _Seen(at_peaks.abs() / peaks.clamp_min(1e-9), x.mean((0, 2, 3)))

    handles = [attention.register_forward_hook(look) for attention in blocks]
    net(photos)
    for handle in handles:
        handle.remove()
    return sum(_open(block, attention, seen[attention]) for attention, block in blocks.items())


def _open(block: InvertedResidual, attention: ChannelAttention, seen: _Seen) -> int:
    gates = seen.gates
    stuck = (gates * (1 - gates)).amax(0) < _LEAST_SLOPE
    restore, reduce = attention.restore, attention.reduce
    new = torch.randn(restore.weight.shape, generator=torch.Generator().manual_seed(0))
    restore.weight[stuck] = new[stuck] * _DEVIATION
    assert restore.bias is not None and reduce.bias is not None
    restore.bias[stuck] = _OPEN
    scale = torch.where(stuck, gates.mean(0) / torch.tensor(_OPEN).sigmoid(), 1.0)
    _, norm = block.project.children()
    assert isinstance(norm, nn.BatchNorm2d)
    norm.weight.mul_(scale)
    norm.bias.mul_(scale)
    # What reads the scaled channels themselves goes on reading what it did.
    shut = scale < _LEAST_SLOPE
    reduce.bias += reduce.weight[:, shut, 0, 0] @ (seen.means * (1 - scale))[shut]
    reduce.weight[:, ~shut] /= scale[~shut, None, None]
    return int(stuck.sum())
