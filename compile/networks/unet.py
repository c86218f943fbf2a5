"""U-Net, in the size in which papers on inverse tone mapping count it: 7.76 million parameters.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
MICCAI 2015, in the form in which the authors of U-Net++ published it (MrGiovanni/UNetPlusPlus,
Keras, for non-commercial research only; nothing of that code is here): 32 to 512 channels, zero
padding, transposed convolutions of 2x2 without activation, no norms. The published count,
7,759,521, is for one channel in and out. Simplified: no dropout, which is for training only. No
form for inverse tone mapping was published; this one has three channels in and out.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from compile.networks.he_weights import start
from compile.networks.layers import divided, same_conv

WIDTHS = (32, 64, 128, 256, 512)
"""Channels at 1, 1/2, 1/4, 1/8 and 1/16 of the size."""


def unit(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two convolutions of 3x3, each with a ReLU."""
    return nn.Sequential(
        same_conv(channels_in, channels_out),
        nn.ReLU(),
        same_conv(channels_out, channels_out),
        nn.ReLU(),
    )


def up(channels_in: int, channels_out: int) -> nn.ConvTranspose2d:
    """Twice the height and width: each pixel becomes four, by a weight each."""
    return start(nn.ConvTranspose2d(channels_in, channels_out, 2, 2))


def sigmoid_head(channels_in: int, channels_out: int) -> nn.Sequential:
    """A convolution of 1x1 and a sigmoid."""
    return nn.Sequential(start(nn.Conv2d(channels_in, channels_out, 1)), nn.Sigmoid())


class Backbone(nn.Module):
    """Float32 [N, in_channels, H, W] to the [N, 32, H, W] that the head reads, all >= 0."""

    def __init__(self, width_divisor: int, in_channels: int) -> None:
        """With channels divided by ``width_divisor``."""
        super().__init__()
        self.widths = [divided(width, width_divisor) for width in WIDTHS]
        below = [in_channels, *self.widths]
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(unit(*pair) for pair in zip(below, self.widths, strict=False))
        larger = list(zip(self.widths, self.widths[1:], strict=False))
        self.up = nn.ModuleList(up(coarse, fine) for fine, coarse in larger)
        self.merge = nn.ModuleList(unit(2 * fine, fine) for fine, _ in larger)

    def forward(self, image: Tensor) -> Tensor:
        """The feature maps that the head reads."""
        y = self.down[0](image)
        skips = []
        for down in self.down[1:]:
            skips.append(y)
            y = down(self.pool(y))
        for level in reversed(range(len(skips))):
            y = self.merge[level](torch.cat([self.up[level](y), skips[level]], 1))
        return y


class UNet(nn.Module):
    """Float32 [N, in_channels, H, W] in [0, 1] to [N, out_channels, H, W] in (0, 1).

    Height and width are multiples of :data:`SIZE_MULTIPLE`. The published segmentation network has
    one channel in and out. Under a scheme with two precisions the backbone is int8.
    """

    SIZE_MULTIPLE: ClassVar[int] = 16
    LEAST_SIDE: ClassVar[int] = 16

    def __init__(self, width_divisor: int = 1, in_channels: int = 3, out_channels: int = 3) -> None:
        """With every number of channels divided by ``width_divisor``."""
        super().__init__()
        self.backbone = Backbone(width_divisor, in_channels)
        self.head = sigmoid_head(self.backbone.widths[0], out_channels)

    def forward(self, image: Tensor) -> Tensor:
        """The estimate of ``image``."""
        return self.head(self.backbone(image))
