"""HDRCNN: what is saturated in a photograph from a U-Net on VGG-16, in the logarithmic domain.

Eilertsen, Kronander, Denes, Mantiuk and Unger, "HDR image reconstruction from a single exposure
using deep CNNs", SIGGRAPH Asia 2017 (gabrieleilertsen/hdrcnn, TensorFlow, BSD-3; nothing of that
code is here). 29,443,358 parameters.

The same function in other units. The published encoder reads bytes in the order B, G, R; here the
image stays in [0, 1] and R, G, B, and every feature of the encoder is 1/255 of the published one:
ReLU and max pool allow it. To load published weights, reverse the input channels of the first
convolution, divide the encoder's biases by 255 and multiply the weights of ``bottom`` by 255.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from compile.networks.he_weights import start
from compile.networks.layers import Offset, conv_relu, divided, near_white, same_conv

ENCODER = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and convolutions of VGG-16 at 1, 1/2, 1/4, 1/8 and 1/16 of the size."""

MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
"""Of R, G and B in VGG's training data."""

FLOOR = 1 / 255
"""Added before a logarithm: the darkest light that is told from none."""

THRESHOLD = 0.95
"""From here on a pixel counts as saturated, the more the nearer to 1."""


def log_square(features: Tensor) -> Tensor:
    """Bring a skip into the decoder's domain: the logarithm of linear light, for gamma 2."""
    return (features * features + FLOOR).log()


def transposed_unit(channels_in: int, channels_out: int) -> nn.Sequential:
    """Twice the height and width by a transposed convolution of 4x4, batch norm and ReLU."""
    enlarge = nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1)
    return nn.Sequential(enlarge, nn.BatchNorm2d(channels_out), nn.ReLU())


class Encoder(nn.Module):
    """VGG-16 without its classifier, on a centred image.

    Float32 [N, 3, H, W] to [N, 512, H/32, W/32] and the five skips, the largest first, which are
    taken before each max pool. All are >= 0.
    """

    def __init__(self, widths: list[int]) -> None:
        """With ``widths`` for the channels of :data:`ENCODER`."""
        super().__init__()
        self.offset = Offset(MEAN)
        self.pool = nn.MaxPool2d(2)
        self.stages = nn.ModuleList()
        channels = 3
        for width, (_, layers) in zip(widths, ENCODER, strict=True):
            inputs = [channels] + [width] * (layers - 1)
            self.stages.append(nn.Sequential(*(conv_relu(c, width) for c in inputs)))
            channels = width

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The features and the skips."""
        y = self.offset(image)
        skips = []
        for stage in self.stages:
            skips.append(stage(y))
            y = self.pool(skips[-1])
        return y, skips


class Backbone(nn.Module):
    """Encoder and decoder: float32 [N, 3, H, W] in [0, 1] to [N, 64, H, W].

    Args of the constructor: ``enlarge`` makes the module that doubles height and width from its
    channels in and out, ``skip`` is what becomes of a skip.
    """

    def __init__(
        self,
        width_divisor: int,
        enlarge: Callable[[int, int], nn.Module] = transposed_unit,
        skip: Callable[[Tensor], Tensor] = log_square,
    ) -> None:
        """With channels divided by ``width_divisor``."""
        super().__init__()
        self.skip = skip
        widths = [divided(width, width_divisor) for width, _ in ENCODER]
        deepest = widths[-1]
        self.channels = widths[0]
        self.encoder = Encoder(widths)
        self.bottom = nn.Sequential(same_conv(deepest, deepest), nn.BatchNorm2d(deepest), nn.ReLU())
        coarser = [*widths[1:], deepest]
        pairs = list(zip(coarser, widths, strict=True))
        self.enlarge = nn.ModuleList(enlarge(*pair) for pair in pairs)
        self.fuse = nn.ModuleList(start(nn.Conv2d(2 * fine, fine, 1)) for _, fine in pairs)

    def forward(self, image: Tensor) -> Tensor:
        """The feature maps that the head reads."""
        y, skips = self.encoder(image)
        y = self.bottom(y)
        for level in reversed(range(len(skips))):
            joined = torch.cat([self.enlarge[level](y), self.skip(skips[level])], 1)
            y = self.fuse[level](joined)
        return y


class Merge(nn.Module):
    """The decoder's maps, as three channels, joined with the image: [N, C, H, W] and [N, 3, H, W]
    to [N, 3, H, W]."""

    def __init__(self, channels: int) -> None:
        """For ``channels`` maps."""
        super().__init__()
        self.project = nn.Sequential(nn.Conv2d(channels, 3, 1), nn.BatchNorm2d(3), nn.ReLU())
        self.fuse = start(nn.Conv2d(6, 3, 1), gain=0.25)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """The sum, of any size."""
        return self.fuse(torch.cat([self.project(features), image], 1))


class Head(nn.Module):
    """From feature maps to light: the image's own where it is not saturated.

    Takes [N, C, H, W] and the image [N, 3, H, W], gives [N, 3, H, W].
    """

    def __init__(self, channels: int) -> None:
        """For ``channels`` maps."""
        super().__init__()
        self.merge = Merge(channels)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Linear light."""
        light = self.merge(features, log_square(image)).exp() - FLOOR
        share = near_white(image.amax(1, keepdim=True), THRESHOLD)
        return (1.0 - share) * image * image + share * light


class HDRCNN(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to linear light [N, 3, H, W], above -1/255 and unbounded.

    Height and width are multiples of :data:`SIZE_MULTIPLE`. Where no channel is above
    :data:`THRESHOLD` the result is the square of the image. Under a scheme with two precisions the
    backbone is int8.
    """

    SIZE_MULTIPLE: ClassVar[int] = 32
    LEAST_SIDE: ClassVar[int] = 32

    def __init__(self, width_divisor: int = 1) -> None:
        """With every number of channels divided by ``width_divisor``."""
        super().__init__()
        self.backbone = Backbone(width_divisor)
        self.head = Head(self.backbone.channels)

    def forward(self, image: Tensor) -> Tensor:
        """The estimate of ``image``."""
        return self.head(self.backbone(image), image)
