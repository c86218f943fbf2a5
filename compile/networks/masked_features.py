"""The masked-feature network: saturated pixels are masked, and the masks go through the layers.

Santos, Ren and Kalantari, "Single Image HDR Reconstruction Using a CNN with Masked Features and
Perceptual Loss", SIGGRAPH 2020 (marcelsan/Deep-HdrReconstruction, BSD-3; nothing of that code is
here). 25,770,964 independent parameters; 51,541,925 with the copies for the mask convolutions,
which is what the published program prints.

Two things are written otherwise. The published program convolves a mask by the features' weights
without their signs and divides by their sum each time; with constant weights that is a convolution
of its own. And a mask is multiplied in before the upsampling, which for nearest neighbours is the
same. To load published weights, load those of the features and call ``derive_weights``.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compile.networks.he_weights import start
from compile.networks.layers import Offset, divided, near_white, same_conv, upsample

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of R, G and B in ImageNet."""

ENCODER = ((64, 7), (128, 5), (256, 5), (512, 3), (512, 3), (512, 3), (512, 3))
"""Channels and kernel sizes, at 1/2, 1/4 and so on to 1/128 of the size."""

SLOPE = 0.2
"""Of the decoder's leaky ReLUs."""

THRESHOLD = 0.95
"""From here on a channel counts as saturated, the more the nearer to 1."""

EPSILON = 1e-6
"""Added to the sum of a filter's magnitudes."""


class MaskedConv(nn.Module):
    """A convolution without bias of features that are times their mask, and one of that mask.

    The second has the first one's weights without signs, divided by their sum over the filter:
    :meth:`derive_weights` is to be called when the first one's have changed.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        """For those channels."""
        super().__init__()
        self.features = same_conv(channels_in, channels_out, kernel, stride, bias=False)
        self.mask = same_conv(channels_in, channels_out, kernel, stride, bias=False)
        self.mask.requires_grad_(False)
        self.derive_weights()

    @torch.no_grad()
    def derive_weights(self) -> None:
        """Compute the mask's weights."""
        magnitudes = self.features.weight.abs()
        self.mask.weight.copy_(magnitudes / (magnitudes.sum((1, 2, 3), keepdim=True) + EPSILON))

    def forward(self, masked: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Features and mask, [N, channels_out, ...]. Zero padding pulls masks below 1."""
        return self.features(masked), self.mask(mask)


class Backbone(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to the [N, 64, H/2, W/2] that the head reads, which are
    features times their mask."""

    def __init__(self, width_divisor: int) -> None:
        """With channels divided by ``width_divisor``."""
        super().__init__()
        self.offset = Offset(MEAN, DEVIATION)
        widths = [divided(width, width_divisor) for width, _ in ENCODER]
        self.channels = widths[0]
        self.encoder = nn.ModuleList(
            MaskedConv(below, width, kernel, 2)
            for below, width, (_, kernel) in zip([3, *widths], widths, ENCODER, strict=False)
        )
        self.decoder = nn.ModuleList(
            MaskedConv(deeper + width, width, 3)
            for width, deeper in zip(widths, widths[1:], strict=False)
        )

    def forward(self, image: Tensor) -> Tensor:
        """The feature maps that the head reads."""
        mask = 1.0 - near_white(image, THRESHOLD)
        masked = self.offset(image) * mask
        skips = []
        for layer in self.encoder:
            y, mask = layer(masked, mask)
            skips.append(F.relu(y))
            masked = skips[-1] * mask
        for level in reversed(range(len(self.decoder))):
            skip = skips[level]
            # Skips count fully, although their encoder saw them masked.
            joined_mask = torch.cat([upsample(mask), torch.ones_like(skip)], 1)
            y, mask = self.decoder[level](torch.cat([upsample(masked), skip], 1), joined_mask)
            masked = F.leaky_relu(y, SLOPE) * mask
        return masked


class Head(nn.Module):
    """From feature maps to light: the image's own where it is not saturated.

    Takes [N, C, H/2, W/2] and the image [N, 3, H, W], gives [N, 3, H, W].
    """

    def __init__(self, channels: int) -> None:
        """For ``channels`` maps."""
        super().__init__()
        self.offset = Offset(MEAN, DEVIATION)
        self.project = start(same_conv(channels + 3, 3), gain=0.5)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Linear light."""
        y = self.project(torch.cat([upsample(features), self.offset(image)], 1))
        share = near_white(image, THRESHOLD)
        return (1.0 - share) * image * image + share * (y.exp() - 1.0)


class MaskedFeatures(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to linear light [N, 3, H, W], above -1 and unbounded.

    Height and width are multiples of :data:`SIZE_MULTIPLE`. A channel that is at most
    :data:`THRESHOLD` becomes its square. Under a scheme with two precisions the backbone is int8.
    """

    SIZE_MULTIPLE: ClassVar[int] = 128
    LEAST_SIDE: ClassVar[int] = 128

    def __init__(self, width_divisor: int = 1) -> None:
        """With every number of channels divided by ``width_divisor``."""
        super().__init__()
        self.backbone = Backbone(width_divisor)
        self.head = Head(self.backbone.channels)

    def forward(self, image: Tensor) -> Tensor:
        """The estimate of ``image``."""
        return self.head(self.backbone(image), image)
