"""Batch normalization folded into the convolution before it, so that every scheme starts alike."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_Net = TypeVar("_Net", bound=nn.Module)


def fold_batch_norms(net: nn.Module) -> nn.Module:
    """A copy of ``net`` in which each convolution that a batch norm follows, in an
    :class:`torch.nn.Sequential`, is one convolution with a bias; the norm is the identity.

    Exact but for float32 rounding: w' = w * gamma / sqrt(var + eps), b' = beta - mean * gamma /
    sqrt(var + eps) (Jacob et al., CVPR 2018, section 3.2). ``net`` must be in evaluation mode.
    """
    net = copy.deepcopy(net)
    for _, sequence, conv, norm in list(_pairs(net)):
        fused = fuse_conv_bn_eval(getattr(sequence, conv), getattr(sequence, norm))
        setattr(sequence, conv, fused)
        setattr(sequence, norm, nn.Identity())
    return net


def unfold_batch_norms(folded: nn.Module, net: _Net) -> _Net:
    """``net``, new and with batch norms, in evaluation mode and with the weights of ``folded``,
    whose batch norms were folded.

    Each norm adds the bias and is the identity otherwise: mean 0, variance 1 - eps, gamma 1.
    """
    net.eval()
    state = folded.state_dict()
    norms = []
    for path, sequence, conv, norm in _pairs(net):
        batch_norm = getattr(sequence, norm)
        nn.init.constant_(batch_norm.running_var, 1 - batch_norm.eps)
        state[f"{path}{norm}.bias"] = state.pop(f"{path}{conv}.bias")
        norms.append(f"{path}{norm}.")
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected and all(name.startswith(tuple(norms)) for name in missing)
    return net


def _pairs(net: nn.Module) -> Iterator[tuple[str, nn.Sequential, str, str]]:
    """Path with a dot behind it, sequence, and names in it of a convolution and its batch norm."""
    for path, module in net.named_modules():
        if isinstance(module, nn.Sequential):
            for (conv, first), (norm, second) in pairwise(module.named_children()):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    yield f"{path}." if path else "", module, conv, norm
