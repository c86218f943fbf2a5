"""Batch normalization folded into the convolution before it, so that every scheme starts alike."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from compile.networks.mqnet.network import MQNet


def fold_batch_norms(net: MQNet) -> MQNet:
    """A copy of ``net`` whose ``conv``, ``norm`` pairs are one convolution with a bias.

    Exact but for float32 rounding: w' = w * gamma / sqrt(var + eps), b' = beta - mean * gamma /
    sqrt(var + eps) (Jacob et al., CVPR 2018, section 3.2). ``net`` must be in evaluation mode.
    """
    net = copy.deepcopy(net)
    for module in net.modules():
        if isinstance(getattr(module, "norm", None), nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()
    return net


def unfold_batch_norms(folded: MQNet) -> MQNet:
    """MQNet in evaluation mode that computes what ``folded`` does, whose batch norms were folded.

    Each norm adds the bias and is the identity otherwise: mean 0, variance 1 - eps, gamma 1.
    """
    net = MQNet(folded.attention).eval()
    state = folded.state_dict()
    for name, module in net.named_modules():
        if isinstance(getattr(module, "norm", None), nn.BatchNorm2d):
            nn.init.constant_(module.norm.running_var, 1 - module.norm.eps)
            state[f"{name}.norm.bias"] = state.pop(f"{name}.conv.bias")
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected and all(".norm." in name for name in missing)
    return net
