"""Batch norms of a training that goes on from older weights: their statistics follow what goes
through them, slowly.

Of the one or two crops that a process takes at a time a batch norm would subtract what tells the
photographs apart: level, contrast, response. Statistics that stay for ever are no way out: the
layers in front of them learn, what reaches a ReLU6 wanders off, and where it is 0 for every
photograph it never comes back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_MOMENTUM = 0.005
# Of a larger map no more rows are counted: it is as good, and takes no time to speak of.
_ROWS = 16
# A channel that next to no photograph moves would be divided by next to nothing. Gains of thousands
# came of it, and int8 has no room for the biases behind them. Of 12,840 channels 22 had less.
_LEAST_VARIANCE = 1e-3


def follow_statistics(net: nn.Module) -> nn.Module:
    """Let the batch norms of ``net`` take what they subtract and divide by from their statistics,
    and these follow each input by a two-hundredth; return ``net``, which is in training mode."""
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eval()
            norm.register_forward_pre_hook(_follow)
    return net


@torch.no_grad()
def renew_statistics(net: nn.Module, photos: Tensor) -> None:
    """Give each batch norm the statistics of ``photos``, float32 [N,3,H,W] in [0, 1], and the
    weight and bias with which it goes on computing what it did, in place.

    Args:
        net: in evaluation mode.
    """
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(_renew) for norm in norms]
    net(photos)
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def _follow(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
    (x,) = inputs
    rows = x[:, :, :: max(1, x.shape[2] // _ROWS)].movedim(1, -1).flatten(0, 2).float()
    mean, variance = running_statistics(norm)
    # torch.var_mean takes ten times as long.
    new_mean = rows.mean(0)
    variance.lerp_((rows - mean).square().mean(0), _MOMENTUM).clamp_min_(_LEAST_VARIANCE)
    mean.lerp_(new_mean, _MOMENTUM)


def _renew(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
    mean, variance = running_statistics(norm)
    new_variance, new_mean = torch.var_mean(*inputs, (0, 2, 3), correction=0)
    new_variance.clamp_min_(_LEAST_VARIANCE)
    factor = norm.weight / (variance + norm.eps).sqrt()
    norm.bias.add_((new_mean - mean) * factor)
    norm.weight[:] = factor * (new_variance + norm.eps).sqrt()
    variance[:], mean[:] = new_variance, new_mean


def running_statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Mean and variance, float32 [C] each, that ``norm`` keeps: itself, no copies."""
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean, norm.running_var
