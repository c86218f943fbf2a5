"""Batch normalization folded into the convolution before it, so that every scheme starts alike."""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from compile.mqnet.network import MQNet


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
