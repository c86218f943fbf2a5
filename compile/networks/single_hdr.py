"""SingleHDR: four networks in a row that undo a camera's steps, the last one first.

Liu, Lai, Chen, Kao, Yang, Chuang and Huang, "Single-Image HDR Reconstruction by Learning to Reverse
the Camera Pipeline", CVPR 2020 (alex04072000/SingleHDR, TensorFlow, no licence file; nothing of
that code is here). 29,036,815 parameters in the pipeline that was fine-tuned as a whole, with the
refinement; 27,769,868 without.

Otherwise than published: the mean and the components of response curves by Grossberg and Nayar,
which are not trained, are not here: a power and sines stand in for them, in the buffers
``mean_curve`` and ``components`` of the curve. The stem reads Sobel's outputs as vertical of R, G
and B, then horizontal. The hallucination is in the units of :mod:`compile.networks.hdrcnn`.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compile.networks import hdrcnn
from compile.networks.he_weights import start
from compile.networks.layers import conv_leaky, divided, near_white, same_conv, upsample

WIDTHS = ((16, 7), (32, 5), (64, 3), (128, 3))
"""Channels and kernel sizes of the small U-Net at 1, 1/2, 1/4 and 1/8 of the size."""

DEQUANTIZE_DEEPEST, REFINE_DEEPEST = 256, 128
"""Their channels at 1/16 of the size."""

STEPS = (4, 8, 16)
"""Bins of the three soft histograms."""

HISTOGRAM_CHANNELS = 3 * (1 + 2 + sum(steps + 1 for steps in STEPS))

LINEARIZE_BLOCKS = ((64, 256, 3, 1), (128, 512, 2, 2))
"""Inner channels, channels, blocks and stride of the first block, for each stage of a ResNet."""

LINEARIZE_EPSILON = 1e-3
"""Of the batch norms there."""

SAMPLES, COMPONENTS = 1024, 11
"""Of a response curve."""

THRESHOLD = 0.88
"""From here on a pixel counts as saturated, the more the nearer to 1."""


class Stage(nn.Module):
    """A network with a backbone, int8 under a scheme with two precisions, and a float head."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        """Of those two."""
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, inputs: Tensor, base: Tensor) -> Tensor:
        """``inputs`` [N, C, H, W] are for the backbone; the head changes ``base`` [N, 3, H, W]."""
        return self.head(self.backbone(inputs), base)


def enlarge_bilinear(x: Tensor) -> Tensor:
    """Twice the height and width as TensorFlow 1 does it: from the source at half the coordinate,
    the last row and column repeated.

    Each row is there, and then its mean with the next one: what is left of pixels that are repeated
    where windows of two are averaged."""
    repeated = F.pad(upsample(x), (0, 1, 0, 1), mode="replicate")
    return F.avg_pool2d(repeated, 2, stride=1)


class SmallUNet(nn.Module):
    """The U-Net of two of the networks: float32 [N, channels, H, W] to [N, 16, H, W]."""

    def __init__(self, channels: int, deepest: int, width_divisor: int) -> None:
        """With ``deepest`` channels at 1/16 of the size, all divided by ``width_divisor``."""
        super().__init__()
        layers = [(divided(width, width_divisor), kernel) for width, kernel in WIDTHS]
        layers.append((divided(deepest, width_divisor), 3))
        widths = [width for width, _ in layers]
        self.channels = widths[0]
        self.pool = nn.AvgPool2d(2)
        self.down = nn.ModuleList(
            nn.Sequential(conv_leaky(above, width, kernel), conv_leaky(width, width, kernel))
            for above, (width, kernel) in zip([channels, *widths], layers, strict=False)
        )
        pairs = list(zip(widths, widths[1:], strict=False))
        self.up = nn.ModuleList(conv_leaky(coarse, fine) for fine, coarse in pairs)
        self.merge = nn.ModuleList(conv_leaky(2 * fine, fine) for fine, _ in pairs)

    def forward(self, image: Tensor) -> Tensor:
        """The feature maps that the head reads."""
        y = self.down[0](image)
        skips = []
        for down in self.down[1:]:
            skips.append(y)
            y = down(self.pool(y))
        for level in reversed(range(len(skips))):
            y = self.up[level](enlarge_bilinear(y))
            y = self.merge[level](torch.cat([y, skips[level]], 1))
        return y


class DequantizeHead(nn.Module):
    """What takes the steps of 8 bits off an image: [N, C, H, W] and the image to the same as it."""

    def __init__(self, channels: int) -> None:
        """For ``channels`` maps."""
        super().__init__()
        self.project = start(same_conv(channels, 3), gain=0.1)

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """In [0, 1]."""
        return (image + torch.tanh(self.project(features))).clamp(0.0, 1.0)


class RefineHead(nn.Module):
    """A correction of linear light: [N, C, H, W] and the light to the same as it."""

    def __init__(self, channels: int) -> None:
        """For ``channels`` maps."""
        super().__init__()
        self.project = start(same_conv(channels, 3), gain=0.25)

    def forward(self, features: Tensor, light: Tensor) -> Tensor:
        """At least 0."""
        return (light + self.project(features)).relu()


class Sobel(nn.Module):
    """Vertical, then horizontal differences: float32 [N, 3, H, W] to two of the same shape."""

    def __init__(self) -> None:
        """With weights that stay."""
        super().__init__()
        self.vertical = nn.Conv2d(3, 3, 3, groups=3, bias=False).requires_grad_(False)
        self.horizontal = nn.Conv2d(3, 3, 3, groups=3, bias=False).requires_grad_(False)
        self.derive_weights()

    @torch.no_grad()
    def derive_weights(self) -> None:
        """Set the weights: they follow from nothing."""
        kernel = torch.tensor([[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]])
        self.vertical.weight.copy_(kernel.expand(3, 1, 3, 3))
        self.horizontal.weight.copy_(kernel.T.expand(3, 1, 3, 3))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Of an image whose border is mirrored."""
        padded = F.pad(image, (1, 1, 1, 1), mode="reflect")
        return self.vertical(padded), self.horizontal(padded)


def soft_histogram(image: Tensor) -> list[Tensor]:
    """How near each value is to each edge of a bin, 1 at the edge and 0 at the next ones: 31 of the
    shape of ``image``, whose values are in [0, 1]."""
    return [
        F.relu(1.0 - (image - edge / steps).abs() * float(steps))
        for steps in STEPS
        for edge in range(steps + 1)
    ]


class Bottleneck(nn.Module):
    """A block of a ResNet: 1x1, 3x3 and 1x1, added to the input or to a convolution of it."""

    def __init__(self, channels_in: int, inner: int, channels: int, stride: int) -> None:
        """The first convolution has the stride; without a change of shape there is no other."""
        super().__init__()
        self.main = nn.Sequential(
            *(*self._unit(channels_in, inner, 1, stride), nn.ReLU()),
            *(*self._unit(inner, inner, 3), nn.ReLU()),
            *self._unit(inner, channels, 1, gain=0.5),
        )
        self.shortcut: nn.Module = nn.Identity()
        if channels_in != channels:
            self.shortcut = nn.Sequential(*self._unit(channels_in, channels, 1, stride, gain=1.0))

    @staticmethod
    def _unit(
        channels_in: int, channels: int, kernel: int, stride: int = 1, gain: float = 2**0.5
    ) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
        conv = start(same_conv(channels_in, channels, kernel, stride, bias=False), gain)
        return conv, nn.BatchNorm2d(channels, LINEARIZE_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Features of 1 / stride of the size, at least 0."""
        return (self.main(x) + self.shortcut(x)).relu()


class LinearizeBackbone(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to [N, 512, H/8, W/8], at least 0."""

    def __init__(self, width_divisor: int) -> None:
        """With channels divided by ``width_divisor``, but for the 102 of the input's features."""
        super().__init__()
        self.sobel = Sobel()
        channels = divided(LINEARIZE_BLOCKS[0][0], width_divisor)
        # Padding as TensorFlow's SAME has it: one more below and to the right.
        self.stem = nn.Sequential(
            nn.ZeroPad2d((2, 3, 2, 3)),
            nn.Conv2d(HISTOGRAM_CHANNELS, channels, 7, 2),
            nn.BatchNorm2d(channels, LINEARIZE_EPSILON),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
        )
        self.blocks = nn.Sequential()
        for inner, wide, blocks, stride in LINEARIZE_BLOCKS:
            for position in range(blocks):
                out = divided(wide, width_divisor)
                step = 1 if position else stride
                block = Bottleneck(channels, divided(inner, width_divisor), out, step)
                self.blocks.append(block)
                channels = out
        self.channels = channels

    def forward(self, image: Tensor) -> Tensor:
        """The feature maps that the head reads."""
        features = torch.cat([image, *self.sobel(image), *soft_histogram(image)], 1)
        return self.blocks(self.stem(features))


def look_up(tables: Tensor, index: Tensor) -> Tensor:
    """The numbers of each picture's table [N, n] at ``index``, int32 [N, C, H, W]."""
    return torch.stack([table[at] for table, at in zip(tables, index, strict=True)])


class ResponseCurve(nn.Module):
    """A picture through a curve: [N, 11, 1, 1], the weights of the curve's components, and the
    image [N, 3, H, W] in [0, 1] to [N, 3, H, W] in [0, 1]."""

    mean_curve: Tensor
    components: Tensor
    steps: Tensor

    def __init__(self) -> None:
        """With components that stay."""
        super().__init__()
        at = torch.linspace(0, 1, SAMPLES, dtype=torch.float64)
        order = torch.arange(1, COMPONENTS + 1, dtype=torch.float64)
        components = torch.sin(math.pi * at[:, None] * order) / (10 * order)
        self.register_buffer("mean_curve", at.pow(2.2).float())
        self.register_buffer("components", components.float())
        self.register_buffer("steps", torch.arange(SAMPLES).float(), persistent=False)

    def samples(self, weights: Tensor) -> Tensor:
        """Samples of an increasing curve from 0 to 1, [N, 1024].

        Published are their differences, lifted until none is below 0, over their sum, and summed up
        again: the same.
        """
        samples = F.linear(weights.flatten(1), self.components, self.mean_curve)
        fall = samples[:, :-1] - samples[:, 1:]
        lift = F.relu(fall.amax(1, keepdim=True))
        rising = samples - samples[:, :1] + lift * self.steps
        return rising / rising[:, -1:]

    def forward(self, weights: Tensor, image: Tensor) -> Tensor:
        """Linear light."""
        curve = self.samples(weights)
        at = image * (SAMPLES - 1.0)
        below = at.floor().clamp(0.0, SAMPLES - 2.0)
        index = below.int()
        low, high = look_up(curve, index), look_up(curve, index + 1)
        return low + (at - below) * (high - low)


class LinearizeHead(nn.Module):
    """A response curve for each picture, and the picture through it.

    Takes [N, C, H/8, W/8] and the image [N, 3, H, W] in [0, 1], gives [N, 3, H, W] in [0, 1].
    """

    def __init__(self, channels: int) -> None:
        """For ``channels`` maps."""
        super().__init__()
        self.weights = start(nn.Conv2d(channels, COMPONENTS, 1))
        self.curve = ResponseCurve()

    def forward(self, features: Tensor, image: Tensor) -> Tensor:
        """Linear light."""
        return self.curve(self.weights(F.adaptive_avg_pool2d(features, 1)), image)


def reflected_unit(channels_in: int, channels_out: int) -> nn.Sequential:
    """Twice the height and width by repetition, a convolution of a mirrored border, and a batch
    norm between two ReLUs, which is why it is no part of the convolution."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2.0, mode="nearest"),
        nn.ReflectionPad2d(1),
        nn.Conv2d(channels_in, channels_out, 3),
        nn.ReLU(),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


def unchanged(features: Tensor) -> Tensor:
    """A skip of the hallucination: 1/255 of the published features, which is what is published."""
    return features


class HallucinateHead(nn.Module):
    """Light that is added where the picture is saturated.

    Takes [N, C, H, W] and the light [N, 3, H, W], gives light of the same shape.
    """

    def __init__(self, channels: int) -> None:
        """For ``channels`` maps."""
        super().__init__()
        self.merge = hdrcnn.Merge(channels)

    def forward(self, features: Tensor, light: Tensor) -> Tensor:
        """At least ``light``."""
        share = near_white(light.amax(1, keepdim=True), THRESHOLD)
        return light + share * self.merge(features, light).relu()


class SingleHDR(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to linear light [N, 3, H, W], at least 0 and unbounded.

    Height and width are multiples of :data:`SIZE_MULTIPLE`. Under a scheme with two precisions the
    backbone of each stage is int8; the image between two stages is float, since heads add to it.
    """

    SIZE_MULTIPLE: ClassVar[int] = 32
    LEAST_SIDE: ClassVar[int] = 32

    def __init__(self, width_divisor: int = 1) -> None:
        """With every number of channels divided by ``width_divisor``."""
        super().__init__()
        dequantize = SmallUNet(3, DEQUANTIZE_DEEPEST, width_divisor)
        linearize = LinearizeBackbone(width_divisor)
        hallucinate = hdrcnn.Backbone(width_divisor, reflected_unit, unchanged)
        refine = SmallUNet(9, REFINE_DEEPEST, width_divisor)
        self.stages = nn.ModuleDict(
            {
                "dequantize": Stage(dequantize, DequantizeHead(dequantize.channels)),
                "linearize": Stage(linearize, LinearizeHead(linearize.channels)),
                "hallucinate": Stage(hallucinate, HallucinateHead(hallucinate.channels)),
                "refine": Stage(refine, RefineHead(refine.channels)),
            }
        )

    def forward(self, image: Tensor) -> Tensor:
        """The estimate of ``image``."""
        smooth = self.stages["dequantize"](image, image)
        linear = self.stages["linearize"](smooth, smooth)
        light = self.stages["hallucinate"](linear, linear)
        return self.stages["refine"](torch.cat([light, linear, smooth], 1), light)
