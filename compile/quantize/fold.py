"""Batch normalization folded into the convolution before it, so that every scheme starts alike."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from compile.networks.parts import module_path

_BATCH_NORM = torch.ops.aten.batch_norm.default
_CONVOLUTIONS = (torch.ops.aten.conv2d.default, torch.ops.aten.conv_transpose2d.input)
_FOLDABLE = {_BATCH_NORM, *_CONVOLUTIONS}

_Net = TypeVar("_Net", bound=nn.Module)


def fold_batch_norms(net: nn.Module) -> nn.Module:
    """A copy of ``net`` in which each convolution that a batch norm follows, in an
    :class:`torch.nn.Sequential`, is one convolution with a bias; the norm is the identity.

    Exact but for float32 rounding: w' = w * gamma / sqrt(var + eps), b' = beta - mean * gamma /
    sqrt(var + eps) (Jacob et al., CVPR 2018, section 3.2). ``net`` must be in evaluation mode.
    """
    net = copy.deepcopy(net)
    for _, sequence, conv, norm in list(_pairs(net)):
        setattr(sequence, conv, _fused(getattr(sequence, conv), getattr(sequence, norm)))
        setattr(sequence, norm, nn.Identity())
    return net


def fold_traced_batch_norms(net: nn.Module, graph: fx.Graph, root: str) -> None:
    """Fold, in place, the batch norms of ``net`` that read nothing but a convolution, wherever its
    modules are. ``graph`` was exported with ``net`` at the path ``root``."""
    calls = Counter(module_path(node) for node in graph.nodes if node.target in _FOLDABLE)
    for node in graph.nodes:
        source = node.args[0] if node.target is _BATCH_NORM else None
        if not isinstance(source, fx.Node) or source.target not in _CONVOLUTIONS:
            continue
        paths = [module_path(one).removeprefix(f"{root}.") for one in (source, node)]
        conv, norm = (net.get_submodule(path) for path in paths)
        once = all(calls[module_path(one)] == 1 for one in (source, node))
        if once and len(source.users) == 1 and isinstance(norm, nn.BatchNorm2d):
            _replace(net, paths[0], _fused(conv, norm))
            _replace(net, paths[1], nn.Identity())


def _fused(conv: nn.Module, norm: nn.BatchNorm2d) -> nn.Module:
    assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
    return fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))


def _replace(net: nn.Module, path: str, module: nn.Module) -> None:
    owner, _, name = path.rpartition(".")
    setattr(net.get_submodule(owner), name, module)


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
                kinds = nn.Conv2d, nn.ConvTranspose2d
                if isinstance(first, kinds) and isinstance(second, nn.BatchNorm2d):
                    yield f"{path}." if path else "", module, conv, norm
