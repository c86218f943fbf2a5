"""HDRUNet: a U-Net whose features are scaled and shifted by what the photograph says at each pixel.

Chen, Liu, Zhang, Qiao and Dong, "HDRUNet: Single Image HDR Reconstruction with Denoising and
Dequantization", CVPR workshops 2021 (chxy95/HDRUNet, MIT; nothing of that code is here). 1,651,494
parameters, as the authors' log says. The published network has two inputs, image and condition, and
is shipped with the image as both: so it is here.

One thing is written otherwise: the + 1 of the published f (S(k) + 1) + T(k) is in the bias of S's
last convolution. To load published weights, add 1 to those biases.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from compile.networks.he_weights import start
from compile.networks.layers import conv_leaky, conv_relu, divided, same_conv

FEATURES = 64
CONDITIONS = 32
RESIDUAL_GAIN = 0.1
"""Of the weights that start a residual: there are twelve in a row."""


class Conditions(nn.Module):
    """From the image, float32 [N, 3, H, W], three maps of 32 channels, at 1, 1/2 and 1/4."""

    def __init__(self, features: int, conditions: int) -> None:
        """With so many channels inside and in each map."""
        super().__init__()
        self.shared = nn.Sequential(
            conv_leaky(3, features, 3),
            conv_leaky(features, features, 1),
            conv_leaky(features, features, 1),
        )
        self.to_full = nn.Sequential(
            conv_leaky(features, features, 1), start(same_conv(features, conditions, 1))
        )
        self.to_half = nn.Sequential(
            conv_leaky(features, features, 3, 2), start(same_conv(features, conditions, 1))
        )
        self.to_quarter = nn.Sequential(
            conv_leaky(features, features, 3, 2), start(same_conv(features, conditions, 3, 2))
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three maps, the largest first."""
        shared = self.shared(image)
        return self.to_full(shared), self.to_half(shared), self.to_quarter(shared)


class FeatureTransform(nn.Module):
    """Spatial feature transform: features [N, C, H, W] times one map plus another, both from a
    condition [N, K, H, W]."""

    def __init__(self, features: int, conditions: int) -> None:
        """For those channels."""
        super().__init__()
        self.scale = self._branch(features, conditions, 1.0)
        self.shift = self._branch(features, conditions, 0.0)

    @staticmethod
    def _branch(features: int, conditions: int, bias: float) -> nn.Sequential:
        last = start(same_conv(conditions, features, 1), RESIDUAL_GAIN, bias)
        return nn.Sequential(conv_leaky(conditions, conditions, 1), last)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """What the features become."""
        return features * self.scale(condition) + self.shift(condition)


class Residual(nn.Module):
    """Two convolutions of 3x3, each behind a :class:`FeatureTransform`, added to the input."""

    def __init__(self, features: int, conditions: int) -> None:
        """For those channels."""
        super().__init__()
        self.transform1 = FeatureTransform(features, conditions)
        self.conv1 = conv_relu(features, features)
        self.transform2 = FeatureTransform(features, conditions)
        self.conv2 = start(same_conv(features, features), RESIDUAL_GAIN)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Features of the same shape."""
        y = self.conv1(self.transform1(features, condition))
        return features + self.conv2(self.transform2(y, condition))


class Chain(nn.Module):
    """Residuals in a row, which share a condition."""

    def __init__(self, length: int, features: int, conditions: int) -> None:
        """``length`` of them."""
        super().__init__()
        self.blocks = nn.ModuleList(Residual(features, conditions) for _ in range(length))

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Features of the same shape."""
        for block in self.blocks:
            features = block(features, condition)
        return features


def enlarge(features: int) -> nn.Sequential:
    """Twice the height and width: four times the channels, dealt out to 2x2 pixels, and a ReLU."""
    return nn.Sequential(same_conv(features, 4 * features), nn.PixelShuffle(2), nn.ReLU())


class Backbone(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to two tensors [N, 64, H, W]: of the residual, and of the
    weights of the image, which are >= 0. Both are behind a ReLU."""

    def __init__(self, width_divisor: int) -> None:
        """With channels divided by ``width_divisor``."""
        super().__init__()
        self.channels = features = divided(FEATURES, width_divisor)
        conditions = divided(CONDITIONS, width_divisor)
        self.conditions = Conditions(features, conditions)
        self.first = conv_relu(3, features)
        self.transform_first = FeatureTransform(features, conditions)
        self.conv_full = conv_relu(features, features)
        self.to_half = conv_relu(features, features, stride=2)
        self.chain_half = Chain(2, features, conditions)
        self.to_quarter = conv_relu(features, features, stride=2)
        self.chain_quarter = Chain(8, features, conditions)
        self.up_half = enlarge(features)
        self.chain_last = Chain(2, features, conditions)
        self.up_full = enlarge(features)
        self.transform_last = FeatureTransform(features, conditions)
        self.last = conv_relu(features, features)
        self.weights = nn.Sequential(
            conv_relu(3, features), conv_relu(features, features), conv_relu(features, features, 1)
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The maps of the residual and those of the weights."""
        at_full, at_half, at_quarter = self.conditions(image)
        full = self.conv_full(self.transform_first(self.first(image), at_full))
        half = self.chain_half(self.to_half(full), at_half)
        quarter = self.to_quarter(half)
        y = self.chain_quarter(quarter, at_quarter) + quarter
        y = self.chain_last(self.up_half(y) + half, at_half)
        y = self.last(self.transform_last(self.up_full(y) + full, at_full))
        return y, self.weights(image)


class Head(nn.Module):
    """The image times a weight plus a residual, both of a convolution."""

    def __init__(self, channels: int) -> None:
        """For two tensors of ``channels``."""
        super().__init__()
        self.residual = start(same_conv(channels, 3))
        self.weight = start(same_conv(channels, 3, 1))

    def forward(self, residual: Tensor, weights: Tensor, image: Tensor) -> Tensor:
        """Of two [N, channels, H, W] and the image: [N, 3, H, W]."""
        return self.weight(weights) * image + self.residual(residual)


class HDRUNet(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to light [N, 3, H, W], unbounded, up to the picture's scale.

    Height and width are multiples of :data:`SIZE_MULTIPLE`. Under a scheme with two precisions the
    backbone is int8, and two of its tensors cross the boundary.
    """

    SIZE_MULTIPLE: ClassVar[int] = 4
    LEAST_SIDE: ClassVar[int] = 4

    def __init__(self, width_divisor: int = 1) -> None:
        """With every number of channels divided by ``width_divisor``."""
        super().__init__()
        self.backbone = Backbone(width_divisor)
        self.head = Head(self.backbone.channels)

    def forward(self, image: Tensor) -> Tensor:
        """The estimate of ``image``."""
        residual, weights = self.backbone(image)
        return self.head(residual, weights, image)
