"""The operations that have integer kernels, by what they do with scales and zero points."""

from __future__ import annotations

import torch

aten = torch.ops.aten

ACTIVATIONS = frozenset(
    {
        aten.relu.default,
        aten.relu_.default,
        aten.relu6.default,
        aten.relu6_.default,
        aten.hardtanh.default,
        aten.hardtanh_.default,
    }
)
SUMS = frozenset({aten.add.Tensor, aten.add_.Tensor})
ARITHMETIC = SUMS | {aten.sub.Tensor, aten.mul.Tensor}
MOVERS = frozenset(
    {
        aten.amax.default,
        aten.cat.default,
        aten.channel_shuffle.default,
        aten.max_pool2d.default,
        aten.pad.default,
        aten.pixel_shuffle.default,
        aten.pixel_unshuffle.default,
        aten.slice.Tensor,
        aten.upsample_nearest2d.vec,
        aten.upsample_bilinear2d.vec,
    }
)
REARRANGERS = frozenset(
    {
        aten.flatten.using_ints,
        aten.permute.default,
        aten.reshape.default,
        aten.squeeze.dim,
        aten.squeeze.dims,
        aten.transpose.int,
        aten.unflatten.int,
        aten.unsqueeze.default,
        aten.view.default,
    }
)
"""What puts all numbers into another order or shape: a chain of them moves bytes once."""

CHAINED = frozenset(
    {
        aten.abs.default,
        aten.clamp.default,
        aten.div.Tensor,
        aten.exp.default,
        aten.log.default,
        aten.ones_like.default,
        aten.rsub.Scalar,
    }
)
"""Functions of one tensor that are one table with the arithmetic before and behind them."""

OTHERS = frozenset(
    {
        aten.conv2d.default,
        aten.sigmoid.default,
        aten.tanh.default,
        aten.adaptive_avg_pool2d.default,
        aten.avg_pool2d.default,
        aten.mean.dim,
        aten.instance_norm.default,
        aten.gelu.default,
        aten.hardsigmoid.default,
        aten.hardswish.default,
        aten.leaky_relu.default,
        aten.leaky_relu_.default,
        aten.prelu.default,
        aten.silu.default,
        aten.silu_.default,
        aten.selu.default,
        aten.selu_.default,
    }
)

QUANTIZED = ACTIVATIONS | ARITHMETIC | CHAINED | MOVERS | REARRANGERS | OTHERS
