"""ExpandNet: three branches, for detail, for neighbourhoods and for the whole picture.

Marnerides, Bashford-Rogers, Hatchett and Debattista, "ExpandNet: A Deep Convolutional Neural
Network for High Dynamic Range Expansion from Low Dynamic Range Content", Eurographics 2018
(dmarnerides/hdr-expandnet, BSD-3-Clear; nothing of that code is here). 456,899 parameters, as the
authors' weights file has.

Two things are written otherwise. The published program works in tiles; this is the network's own
forward pass, on the whole picture. And the fusion, a convolution of 1x1 over local, dilated and
global features, is the sum of one over the first two and one over the third: the global features
are the same at every pixel, so that theirs is 64 numbers for a picture. To load published weights,
split that convolution's by input channels. Stretching a picture to its own least and greatest
value, which the published program does first, is the caller's.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compile.networks.he_weights import start
from compile.networks.layers import divided, same_conv

WIDTH = 64
LOCAL_WIDTH = 128
GLOBAL_SIZE = 256
"""Height and width to which the global branch resizes its input."""


def selu_layer(
    channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """A convolution and a SELU, which keeps mean squares where the gain is 1."""
    conv = same_conv(channels_in, channels_out, kernel, stride, dilation)
    return nn.Sequential(start(conv), nn.SELU())


class GlobalBranch(nn.Module):
    """Float32 [N, 3, H, W] to [N, C, 1, 1]."""

    def __init__(self, width: int) -> None:
        """With ``width`` channels."""
        super().__init__()
        inputs = [3] + [width] * 5
        self.down = nn.Sequential(*(selu_layer(channels, width, stride=2) for channels in inputs))
        self.last = start(nn.Conv2d(width, width, 4))

    def forward(self, image: Tensor) -> Tensor:
        """One vector for the whole picture."""
        size = (GLOBAL_SIZE, GLOBAL_SIZE)
        resized = F.interpolate(image, size, mode="bilinear", align_corners=False)
        return self.last(self.down(resized))


class Backbone(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to the [N, 64, H, W] that the head reads."""

    def __init__(self, width_divisor: int) -> None:
        """With channels divided by ``width_divisor``."""
        super().__init__()
        self.channels = width = divided(WIDTH, width_divisor)
        local = divided(LOCAL_WIDTH, width_divisor)
        self.local_branch = nn.Sequential(selu_layer(3, width), selu_layer(width, local))
        self.dilated_branch = nn.Sequential(
            selu_layer(3, width, dilation=2),
            selu_layer(width, width, dilation=2),
            selu_layer(width, width, dilation=2),
            start(same_conv(width, width, dilation=2)),
        )
        self.global_branch = GlobalBranch(width)
        self.fuse = start(same_conv(local + width, width, 1, bias=False))
        self.fuse_global = start(same_conv(width, width, 1))

    def forward(self, image: Tensor) -> Tensor:
        """The feature maps that the head reads."""
        joined = torch.cat([self.local_branch(image), self.dilated_branch(image)], 1)
        return F.selu(self.fuse(joined) + self.fuse_global(self.global_branch(image)))


class ExpandNet(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to linear light [N, 3, H, W] in (0, 1).

    Takes every size. Under a scheme with two precisions the backbone is int8.
    """

    SIZE_MULTIPLE: ClassVar[int] = 1
    LEAST_SIDE: ClassVar[int] = 1

    def __init__(self, width_divisor: int = 1) -> None:
        """With every number of channels divided by ``width_divisor``."""
        super().__init__()
        self.backbone = Backbone(width_divisor)
        self.head = nn.Sequential(start(same_conv(self.backbone.channels, 3, 1)), nn.Sigmoid())

    def forward(self, image: Tensor) -> Tensor:
        """The estimate of ``image``."""
        return self.head(self.backbone(image))
