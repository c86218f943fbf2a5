"""Channels that have died are made anew before a training goes on from older weights.

A ReLU6 that is 0 (or 6) for every picture has no gradient and never comes back. Of weights that
were trained with batch norms whose statistics stayed (:mod:`compile.training.follow_statistics`)
whole blocks were like that: behind them nothing depended on the picture any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compile.networks.mqnet.attention import (
    ChannelAttention,
    ChannelSpatialAttention,
    SpatialAttention,
)
from compile.networks.mqnet.network import InvertedResidual, MQNet
from compile.training.follow_statistics import running_statistics

_DEAD_RANGE = 1e-2
"""A channel is dead that differs between pictures by less, everywhere: activations reach 6, in 256
steps."""

_GATE_DEVIATION = 1e-3


@dataclass(frozen=True)
class _Unit:
    """A convolution, the batch norm behind it, if any, and how its output is read.

    Attributes:
        module: what is called: one tensor in, one out.
        conv, norm: its own, or itself.
        renewed: channels of its output that are dead are made anew. Else, what reads the output
            could not be told apart from what is added to it: there new channels begin at zero.
        activation: what reads the output reads it through this.
    """

    module: nn.Module
    conv: nn.Conv2d
    norm: nn.BatchNorm2d | None
    renewed: bool
    activation: Callable[[Tensor], Tensor] = field(default=lambda y: y)


@dataclass(frozen=True)
class _Seen:
    """What went through a unit before anything was changed.

    Attributes:
        dead_in, dead_out: bool [C], of its input and its output.
        mean_in: float32 [C], of its input.
    """

    dead_in: Tensor
    dead_out: Tensor
    mean_in: Tensor


@torch.no_grad()
def revive_channels(net: MQNet, photos: Tensor, seed: int) -> int:
    """Make the dead channels of the backbone's inverted residual blocks anew, in place; the network
    goes on computing what it did, but for what dead channels had at the borders.

    A dead channel's own weights become random (``seed``) and its batch norm's statistics those of
    ``photos``; a bias without a norm takes their mean away. Where living channels read it, its
    weight becomes 0, and its constant goes into their mean or bias. From there training takes it
    up.

    Args:
        net: in evaluation mode.
        photos: float32 [N,3,H,W] in [0, 1]; a channel is dead that is the same in all of them.

    Returns:
        how many channels were made anew.
    """
    units = [unit for block in net.modules() for unit in _units_of(block)]
    seen: dict[nn.Module, _Seen] = {}

    def look(unit: _Unit) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            (x,) = inputs
            dead_out = _is_dead(unit.activation(output))
            seen[module] = _Seen(_is_dead(x), dead_out, x.mean((0, 2, 3)))

        return hook

    def renew(unit: _Unit) -> Callable[..., Tensor]:
        def hook(module: nn.Module, inputs: tuple[Tensor], _output: Tensor) -> Tensor:
            _forget_dead_inputs(unit, seen[module])
            _draw_dead_outputs(unit, seen[module], *inputs)
            return module.forward(*inputs)

        return hook

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for make_hook in (look, renew):
            handles = [unit.module.register_forward_hook(make_hook(unit)) for unit in units]
            net(photos)
            for handle in handles:
                handle.remove()
    return sum(int(seen[unit.module].dead_out.sum()) for unit in units if unit.renewed)


def _units_of(module: nn.Module) -> list[_Unit]:
    if isinstance(module, InvertedResidual):
        expand = [] if isinstance(module.expand, nn.Identity) else [_with_norm(module.expand, True)]
        depthwise = _with_norm(module.depthwise, True)
        return [*expand, depthwise, _with_norm(module.project, not module.residual)]
    if isinstance(module, ChannelAttention):
        return [
            _Unit(module.reduce, module.reduce, None, True, F.relu),
            _Unit(module.restore, module.restore, None, False),
        ]
    if isinstance(module, SpatialAttention):
        return [_Unit(module.gate, module.gate, None, False)]
    if isinstance(module, ChannelSpatialAttention):
        return [_Unit(module.spatial_gate, module.spatial_gate, None, False)]
    return []


def _with_norm(module: nn.Module, renewed: bool) -> _Unit:
    conv, norm, *_ = module.children()
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return _Unit(module, conv, norm, renewed)


def _is_dead(x: Tensor) -> Tensor:
    return (x.amax(0) - x.amin(0)).amax((1, 2)) < _DEAD_RANGE


def _forget_dead_inputs(unit: _Unit, seen: _Seen) -> None:
    """What the dead channels of its input add stays, as a constant; new ones begin at zero."""
    conv, dead = unit.conv, seen.dead_in
    if conv.groups != 1:
        return
    constant = conv.weight[:, dead, 0, 0] @ seen.mean_in[dead]
    conv.weight[:, dead] = 0
    if unit.norm is not None:
        mean, _ = running_statistics(unit.norm)
        mean -= constant
        return
    assert conv.bias is not None
    conv.bias += constant
    if not unit.renewed:
        # A gate that is always open has no gradient that would move them from zero, and int8 no
        # scale for weights that all are.
        conv.weight[:, dead] = torch.randn_like(conv.weight)[:, dead] * _GATE_DEVIATION


def _draw_dead_outputs(unit: _Unit, seen: _Seen, x: Tensor) -> None:
    """The dead channels of its output become random ones of the input ``x``."""
    conv, norm, dead = unit.conv, unit.norm, seen.dead_out
    if not unit.renewed or not dead.any():
        return
    new = torch.empty_like(conv.weight)
    nn.init.kaiming_normal_(new)
    conv.weight[dead] = new[dead]
    y = conv.forward(x)
    if norm is None:
        assert conv.bias is not None
        conv.bias[dead] -= y.mean((0, 2, 3))[dead]
        return
    mean, variance = running_statistics(norm)
    mean[dead], variance[dead] = y.mean((0, 2, 3))[dead], y.var((0, 2, 3))[dead]
    norm.weight[dead], norm.bias[dead] = 1, 0
