"""The two-stage network: a photograph is restored, then brought to more than 8 bits.

Sharif, Naqvi, Biswas and Kim, "A Two-stage Deep Network for High Dynamic Range Image
Reconstruction", CVPR workshops 2021 (sharif-apu/twostageHDR_NTIRE21, no licence file; nothing of
that code is here). 834,476 parameters run. The published classes have 1,088,556, of which the
others (squeeze-and-excitation, 1x1 gates, norms, a dense block) are never run: they are left out.

One thing is written otherwise. A dense block of the published network gives 0.8 (m d(u) + u) + u,
with m = 0.2 or 0.5; here 0.8 m is in the weights of d's last convolution. To load published
weights, multiply that one's weights and bias by 0.8 m. The factor 1.8 of u stays a multiplication.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from compile.networks.he_weights import start
from compile.networks.layers import conv_relu, divided, same_conv

FEATURES = 64
GROWTH = 32
"""Channels that a layer of a dense block adds."""

LAYERS = 4
"""Of a dense block, before the last convolution."""

RESIDUAL_SCALE = 0.8
"""Of a dense block with what it read."""

STAGES = ((2, 0.2), (1, 0.5))
"""Blocks of each stage, and the scale of what their dense layers add."""


class DenseBlock(nn.Module):
    """Densely connected convolutions, added to 1.8 times the input: [N, C, H, W] to the same."""

    def __init__(self, features: int, growth: int, scale: float) -> None:
        """For ``features`` channels; ``scale`` is what the weights of the last layer start with."""
        super().__init__()
        widths = [features + growth * layer for layer in range(LAYERS + 1)]
        self.layers = nn.ModuleList(conv_relu(width, growth) for width in widths[:-1])
        self.last = start(same_conv(widths[-1], features), RESIDUAL_SCALE * scale)

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape."""
        parts = [features]
        for layer in self.layers:
            parts.append(layer(torch.cat(parts, 1) if len(parts) > 1 else features))
        return self.last(torch.cat(parts, 1)) + features * (1.0 + RESIDUAL_SCALE)


class SpatialAttention(nn.Module):
    """A convolution times a map of what mean and maximum of the channels say of each pixel."""

    def __init__(self, features: int) -> None:
        """For ``features`` channels."""
        super().__init__()
        self.conv = start(same_conv(features, features))
        self.gate = start(same_conv(2, 1, 7, bias=False))

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape, [N, C, H, W]."""
        said = torch.cat([features.mean(1, keepdim=True), features.amax(1, keepdim=True)], 1)
        return torch.sigmoid(self.gate(said)) * self.conv(features)


class Block(nn.Module):
    """The sum of a dense block and an attention, which read the same."""

    def __init__(self, features: int, growth: int, scale: float) -> None:
        """For those channels."""
        super().__init__()
        self.dense = DenseBlock(features, growth, scale)
        self.attention = SpatialAttention(features)

    def forward(self, features: Tensor) -> Tensor:
        """Features of the same shape."""
        return self.dense(features) + self.attention(features)


class Head(nn.Module):
    """From feature maps [N, C, H, W] and the stage's input to its output, both [N, 3, H, W]."""

    def __init__(self, channels: int) -> None:
        """For ``channels`` maps."""
        super().__init__()
        self.project = start(same_conv(channels, 3, 1), gain=0.5)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """An image >= 0."""
        return (self.project(features) + image).relu()


class Stage(nn.Module):
    """Float32 [N, 3, H, W] >= 0 to the same."""

    def __init__(self, width_divisor: int, blocks: int, scale: float) -> None:
        """With channels divided by ``width_divisor``."""
        super().__init__()
        features, growth = divided(FEATURES, width_divisor), divided(GROWTH, width_divisor)
        self.backbone = nn.Sequential(
            start(same_conv(3, features)),
            *(Block(features, growth, scale) for _ in range(blocks)),
        )
        self.head = Head(features)

    def forward(self, image: Tensor) -> Tensor:
        """What the stage makes of ``image``."""
        return self.head(self.backbone(image), image)


class TwoStage(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to light [N, 3, H, W], >= 0 and unbounded.

    Takes every size. Under a scheme with two precisions the backbone of each stage is int8; the
    image between the stages is float, since the second one adds to it.
    """

    SIZE_MULTIPLE: ClassVar[int] = 1
    LEAST_SIDE: ClassVar[int] = 1

    def __init__(self, width_divisor: int = 1) -> None:
        """With every number of channels divided by ``width_divisor``."""
        super().__init__()
        self.stages = nn.ModuleList(Stage(width_divisor, *stage) for stage in STAGES)

    def forward(self, image: Tensor) -> Tensor:
        """The estimate of ``image``."""
        for stage in self.stages:
            image = stage(image)
        return image
