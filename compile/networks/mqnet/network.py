"""MQNet: from one photograph to its HDR estimate, as the authors published it.

Borrego-Carazo, Ozay, Laboyrie and Wisbey, "A Mixed Quantization Network for Efficient Mobile
Inverse Tone Mapping", BMVC 2021. A MobileNetV2 encoder and a decoder of inverted residual blocks
make up the *backbone*, which the paper runs in int8; a small *head* keeps float activations.
The first thing in the way of the data: :mod:`compile.networks.export_wrapper` wraps it for
export.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compile.networks.mqnet.attention import ATTENTIONS
from compile.support.errors import MqnetError

SIZE_MULTIPLE = 32
"""Height and width must be multiples of this: the encoder halves the image five times."""

WIDTH = 0.35
"""Width multiplier of the encoder (MobileNetV2-0.35)."""


@dataclass(frozen=True)
class EncoderStage:
    """A run of inverted residual blocks, a row of table 2 of the MobileNetV2 paper.

    Attributes:
        expansion: factor from the input channels to the depthwise ones.
        channels: output channels at width 1.0.
        blocks: how many blocks.
        stride: stride of the first block; the others have 1.
    """

    expansion: int
    channels: int
    blocks: int
    stride: int


ENCODER_STAGES = (
    EncoderStage(1, 16, 1, 1),
    EncoderStage(6, 24, 2, 2),
    EncoderStage(6, 32, 3, 2),
    EncoderStage(6, 64, 4, 2),
    EncoderStage(6, 96, 3, 1),
    EncoderStage(6, 160, 3, 2),
    EncoderStage(6, 320, 1, 1),
)

NORM_EPSILON = 10.0
"""Of the head's InstanceNorms. With the usual 1e-5 a norm divides each picture by its own
deviation, and what the backbone has found out of its exposure and response is gone; here it is
almost a constant factor where a channel's variance is about 1. It is the same network: convolutions
with weights of a thousandth, in front of a norm with 1e-5, compute the same."""

DECODER_STAGES = ((32, 32), (24, 24), (16,), (8,))
"""Output channels of the decoder's blocks at 1/32, 1/16, 1/8 and 1/4 of the size."""


def scaled_channels(channels: int) -> int:
    """``channels`` times :data:`WIDTH`, rounded to a multiple of 8 but never below 90 %.

    The rule of MobileNetV2's published code (``_make_divisible``).
    """
    scaled = channels * WIDTH
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def conv_unit(
    channels_in: int,
    channels_out: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    """``conv`` without bias, batch ``norm`` and, where given, an ``act``: one unit in the end."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["conv"] = nn.Conv2d(
        channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False
    )
    layers["norm"] = nn.BatchNorm2d(channels_out)
    if activation is not None:
        layers["act"] = activation()
    return nn.Sequential(layers)


class InvertedResidual(nn.Module):
    """Inverted residual with linear bottleneck, "IRLB" (Sandler et al., CVPR 2018, section 3.3).

    Float32 [N, channels_in, H, W] to [N, channels_out, H / stride, W / stride]. The input is added
    where the shapes allow it, after the attention.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int = 1,
        expansion: int = 6,
        attention: str = "none",
    ) -> None:
        """A block whose attention, of the registry, stands after the projection."""
        super().__init__()
        hidden = channels_in * expansion
        self.expand: nn.Module = nn.Identity()
        if expansion != 1:
            self.expand = conv_unit(channels_in, hidden, activation=nn.ReLU6)
        self.depthwise = conv_unit(hidden, hidden, 3, stride, hidden, nn.ReLU6)
        self.project = conv_unit(hidden, channels_out)
        make_attention = ATTENTIONS[attention]
        self.attention = nn.Identity() if make_attention is None else make_attention(channels_out)
        self.stride = stride
        self.residual = channels_in == channels_out and stride == 1

    def forward(self, x: Tensor, with_expanded: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """The block's output; on request also the expanded tensor [N, hidden, H, W], for a skip."""
        expanded = self.expand(x)
        y = self.attention(self.project(self.depthwise(expanded)))
        if self.residual:
            y = y + x
        return (y, expanded) if with_expanded else y


class Encoder(nn.Module):
    """MobileNetV2 of width 0.35 without its classifier.

    Takes the image, float32 [N, 3, H, W] in [0, 1], and gives its features [N, 112, H/32, W/32]
    and the skips at 1/2, 1/4, 1/8 and 1/16 (48, 48, 96 and 192 channels): the expanded,
    ReLU6-ed tensor of each block that is about to halve the size.
    """

    def __init__(self) -> None:
        """The stem and the blocks of :data:`ENCODER_STAGES`."""
        super().__init__()
        channels = scaled_channels(32)
        self.stem = conv_unit(3, channels, 3, 2, activation=nn.ReLU6)
        self.skip_channels: list[int] = []
        blocks: list[InvertedResidual] = []
        for stage in ENCODER_STAGES:
            channels_out = scaled_channels(stage.channels)
            for position in range(stage.blocks):
                stride = stage.stride if position == 0 else 1
                if stride == 2:
                    self.skip_channels.append(channels * stage.expansion)
                blocks.append(InvertedResidual(channels, channels_out, stride, stage.expansion))
                channels = channels_out
        self.blocks = nn.ModuleList(blocks)
        self.channels = channels

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The features and the skips, the largest first."""
        x = self.stem(image * 2 - 1)
        skips = []
        for block in self.blocks:
            x, expanded = block(x, with_expanded=True)
            if block.stride == 2:
                skips.append(expanded)
        return x, skips


class Decoder(nn.Module):
    """Inverted residual blocks, then two 1x1 convolutions, each after upsampling and a concat.

    Takes the encoder's features, its skips and the image, and gives 16 feature maps of the
    image's size, [N, 16, H, W], all >= 0.
    """

    def __init__(self, attention: str, channels: int, skip_channels: list[int]) -> None:
        """For features of ``channels`` channels and skips of those, the largest map first."""
        super().__init__()
        stages = []
        extra = [0, *reversed(skip_channels)]
        for skip, widths in zip(extra, DECODER_STAGES, strict=False):
            blocks = []
            channels += skip
            for position, width in enumerate(widths):
                name = attention if position == 0 else "none"
                blocks.append(InvertedResidual(channels, width, attention=name))
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.merge_skip = conv_unit(channels + skip_channels[0], 16, activation=nn.ReLU)
        self.merge_image = conv_unit(16 + 3, 16, activation=nn.ReLU)

    def forward(self, features: Tensor, skips: list[Tensor], image: Tensor) -> Tensor:
        """The feature maps that the head reads."""
        y = self.stages[0](features)
        *larger, largest = reversed(skips)
        for stage, skip in zip(self.stages[1:], larger, strict=True):
            y = stage(torch.cat([upsample(y), skip], 1))
        y = self.merge_skip(torch.cat([upsample(y), largest], 1))
        return self.merge_image(torch.cat([upsample(y), image], 1))


def upsample(x: Tensor) -> Tensor:
    """Nearest-neighbour upsampling to twice the height and width."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Backbone(nn.Module):
    """Encoder and decoder: the part that runs in int8 under the mixed scheme.

    Float32 [N, 3, H, W] in [0, 1] to [N, 16, H, W].
    """

    def __init__(self, attention: str) -> None:
        """With an attention of the registry in the decoder."""
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder(attention, self.encoder.channels, self.encoder.skip_channels)

    def forward(self, image: Tensor) -> Tensor:
        """The feature maps that the head reads."""
        features, skips = self.encoder(image)
        return self.decoder(features, skips, image)


class Head(nn.Module):
    """From feature maps to what is added to the image: float32 [N, 16, H, W] to [N, 3, H, W].

    Its output lies in (-1, 1). InstanceNorm's input is heavy-tailed, so this part keeps float
    activations under the mixed scheme.
    """

    def __init__(self) -> None:
        """Three convolutions and two norms; the last convolution has no bias."""
        super().__init__()
        self.conv1 = nn.Conv2d(16, 12, 3, padding=1)
        self.norm1 = nn.InstanceNorm2d(12, NORM_EPSILON, affine=True)
        self.conv2 = nn.Conv2d(12, 6, 1)
        self.norm2 = nn.InstanceNorm2d(6, NORM_EPSILON, affine=True)
        self.conv3 = nn.Conv2d(6, 3, 1, bias=False)
        for norm in (self.norm1, self.norm2):
            # A channel of variance 1 goes through as it is.
            nn.init.constant_(norm.weight, (1 + NORM_EPSILON) ** 0.5)

    def forward(self, features: Tensor) -> Tensor:
        """What is added to the image."""
        y = F.relu(self.norm1(self.conv1(features)))
        y = F.relu(self.norm2(self.conv2(y)))
        return torch.tanh(self.conv3(y))


def check_attention(name: str) -> None:
    """Raise MqnetError where ``name`` is none of
    :data:`compile.networks.mqnet.attention.ATTENTIONS`."""
    if name not in ATTENTIONS:
        known = ", ".join(ATTENTIONS)
        raise MqnetError(f"unknown attention {name!r}: choose one of {known}")


class MQNet(nn.Module):
    """``H = sigmoid(image + head(backbone(image)))``: float32 [N, 3, H, W] in [0, 1] to the same.

    Height and width must be multiples of :data:`SIZE_MULTIPLE`. Since the head lies in (-1, 1), H
    lies between sigmoid(-1) and sigmoid(2); decoding it to linear light is the caller's.
    """

    def __init__(self, attention: str = "ca") -> None:
        """With an attention of :data:`compile.networks.mqnet.attention.ATTENTIONS`.

        Raises:
            MqnetError: ``attention`` is none of them.
        """
        super().__init__()
        check_attention(attention)
        self.attention = attention
        self.backbone = Backbone(attention)
        self.head = Head()

    def forward(self, image: Tensor) -> Tensor:
        """H of ``image``."""
        return torch.sigmoid(image + self.head(self.backbone(image)))
