"""FHDR: a feedback network of dense blocks, run twice over the same features.

Khan, Khanna and Raman, "FHDR: HDR Image Reconstruction from a Single LDR Image using Feedback
Network", GlobalSIP 2019 (mukulkhanna/FHDR, BSD-3; nothing of that code is here). 571,267 parameters
at any number of iterations, since they share them.

Simplified: only the last iteration's output is computed, the others are for training. The published
class keeps its state from one picture to the next; here every picture starts afresh.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compile.networks.he_weights import start
from compile.networks.layers import conv_relu, divided, same_conv

FEATURES = 64
GROWTH = 32
"""Channels that a layer of a dense block adds."""

LAYERS = 4
"""Of a dense block."""

BLOCKS = 3
"""Dense blocks in the feedback block."""

ITERATIONS = 2


class ReflectedConv(nn.Module):
    """A convolution of 3x3 on an image whose border is mirrored."""

    def __init__(self, channels_in: int, channels_out: int, gain: float) -> None:
        """With weights that start with ``gain``."""
        super().__init__()
        self.conv = start(nn.Conv2d(channels_in, channels_out, 3), gain)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [N, C, H, W] to the same size, at least 2x2."""
        return self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect"))


class DilatedDense(nn.Module):
    """A dense block of dilated convolutions whose result is also its state.

    Takes features and the state of the iteration before, both [N, C, H, W], gives the same shape.
    """

    def __init__(self, features: int, growth: int) -> None:
        """For ``features`` channels, of which each layer adds ``growth``."""
        super().__init__()
        self.compress = start(same_conv(2 * features, features, 1))
        widths = [features + growth * layer for layer in range(LAYERS)]
        self.layers = nn.ModuleList(
            nn.Sequential(same_conv(width, growth, dilation=2, bias=False), nn.ReLU())
            for width in widths
        )
        self.project = start(same_conv(widths[-1] + growth, features, 1, bias=False))

    def forward(self, features: Tensor, state: Tensor) -> Tensor:
        """The block's result, the next iteration's state."""
        y = self.compress(torch.cat([features, state], 1))
        for layer in self.layers:
            y = torch.cat([y, layer(y)], 1)
        return self.project(y)


class FeedbackBlock(nn.Module):
    """What an iteration runs: dense blocks in a row, each with a state, and the block's own."""

    def __init__(self, features: int, growth: int) -> None:
        """For ``features`` channels."""
        super().__init__()
        self.compress = start(same_conv(2 * features, features, 1))
        self.dense = nn.ModuleList(DilatedDense(features, growth) for _ in range(BLOCKS))
        self.last = conv_relu(features, features)

    def forward(
        self, features: Tensor, state: Tensor, dense_states: list[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """The new state and the dense blocks' ones; without those each takes its own input."""
        y = self.compress(torch.cat([features, state], 1))
        states = []
        for index, block in enumerate(self.dense):
            y = block(y, y if dense_states is None else dense_states[index])
            states.append(y)
        return self.last(y), states


class Backbone(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to the [N, 64, H, W] that the head reads, all >= 0."""

    def __init__(self, width_divisor: int, iterations: int) -> None:
        """With channels divided by ``width_divisor``."""
        super().__init__()
        self.channels = features = divided(FEATURES, width_divisor)
        self.iterations = iterations
        self.first = ReflectedConv(3, features, 2**0.5)
        self.second = same_conv(features, features)
        self.feedback = FeedbackBlock(features, divided(GROWTH, width_divisor))
        self.last = conv_relu(features, features)

    def forward(self, image: Tensor) -> Tensor:
        """The feature maps that the head reads."""
        shallow = F.relu(self.first(image * 2.0 - 1.0))
        features = state = self.second(shallow)
        dense_states = None
        for _ in range(self.iterations):
            state, dense_states = self.feedback(features, state, dense_states)
        return self.last(state + shallow)


class Head(nn.Module):
    """From feature maps [N, C, H, W] to light [N, 3, H, W]."""

    def __init__(self, channels: int) -> None:
        """For ``channels`` maps."""
        super().__init__()
        self.project = ReflectedConv(channels, 3, 0.5)

    def forward(self, features: Tensor) -> Tensor:
        """In (0, 1): the published tanh, brought from (-1, 1)."""
        return torch.tanh(self.project(features)) * 0.5 + 0.5


class FHDR(nn.Module):
    """Float32 [N, 3, H, W] in [0, 1] to linear light [N, 3, H, W] in (0, 1), up to a scale.

    Takes every size from 2x2 on. Under a scheme with two precisions the backbone is int8.
    """

    SIZE_MULTIPLE: ClassVar[int] = 1
    LEAST_SIDE: ClassVar[int] = 2

    def __init__(self, width_divisor: int = 1, iterations: int = ITERATIONS) -> None:
        """With every number of channels divided by ``width_divisor``."""
        super().__init__()
        self.backbone = Backbone(width_divisor, iterations)
        self.head = Head(self.backbone.channels)

    def forward(self, image: Tensor) -> Tensor:
        """The estimate of ``image``."""
        return self.head(self.backbone(image))
