"""The attention modules that MQNet's decoder may carry, and the registry that names them.

Each one multiplies a feature map by gates in (0, 1) that it computes from that feature map. They
are light relatives of CBAM (Woo et al., ECCV 2018) and are compared in the ablation of the paper
(Borrego-Carazo et al., "A Mixed Quantization Network for Efficient Mobile Inverse Tone Mapping",
BMVC 2021), whose best published network uses ``ca``. Input and output: float32 [N, C, H, W].
``reads_input`` names the convolutions that read the feature map itself: who scales its channels
(:mod:`compile.quantize.equalize`) must scale their weights back.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpatialAttention(nn.Module):
    """One gate per pixel: ``x * sigmoid(conv1x1(x))`` with a convolution to one channel."""

    reads_input = ("gate",)

    def __init__(self, channels: int) -> None:
        """For feature maps of ``channels`` channels."""
        super().__init__()
        self.gate = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` times its gates: float32 [N, C, H, W] to the same."""
        return x * torch.sigmoid(self.gate(x))


class ChannelSpatialAttention(nn.Module):
    """One gate per value, then one per pixel.

    ``x * sigmoid(depthwise1x1(x)) * sigmoid(conv1x1(x))``: both gates are computed from ``x``.
    """

    reads_input = ("channel_gate", "spatial_gate")

    def __init__(self, channels: int) -> None:
        """For feature maps of ``channels`` channels."""
        super().__init__()
        self.channel_gate = nn.Conv2d(channels, channels, 1, groups=channels)
        self.spatial_gate = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` times its gates: float32 [N, C, H, W] to the same."""
        return (x * torch.sigmoid(self.channel_gate(x))) * torch.sigmoid(self.spatial_gate(x))


class ChannelAttention(nn.Module):
    """One gate per channel, from the global mean: ``x * sigmoid(restore(relu(reduce(mean(x)))))``.

    Squeeze and excitation (Hu et al., CVPR 2018) with a reduction of 2.
    """

    reads_input = ("reduce",)

    def __init__(self, channels: int) -> None:
        """For feature maps of ``channels`` channels."""
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 2, 1)
        self.restore = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` times its gates: float32 [N, C, H, W] to the same."""
        mean = F.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.restore(F.relu(self.reduce(mean))))


ATTENTIONS: dict[str, Callable[[int], nn.Module] | None] = {
    "ca": ChannelAttention,
    "csa": ChannelSpatialAttention,
    "sa": SpatialAttention,
    "none": None,
}
"""Attention by name: a constructor that takes the number of channels, or None for no attention."""
