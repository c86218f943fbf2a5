"""Small parts that several networks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_CHANNELS = 4
"""Of a layer of a divided width: the image's 3 channels, and what int8 kernels take at once."""


def divided(channels: int, divisor: int) -> int:
    """``channels`` of a published layer in a network whose width is divided by ``divisor``: at
    least :data:`LEAST_CHANNELS`."""
    return channels if divisor == 1 else max(LEAST_CHANNELS, channels // divisor)


def same_conv(
    channels_in: int,
    channels_out: int,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    bias: bool = True,
) -> nn.Conv2d:
    """A convolution of odd ``kernel``, zero padded so that with stride 1 the size stays."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(channels_in, channels_out, kernel, stride, padding, dilation, bias=bias)


def conv_relu(
    channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1
) -> nn.Sequential:
    """A :func:`same_conv` and a ReLU."""
    return nn.Sequential(same_conv(channels_in, channels_out, kernel, stride), nn.ReLU())


def conv_leaky(
    channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1, slope: float = 0.1
) -> nn.Sequential:
    """A :func:`same_conv` and a leaky ReLU."""
    return nn.Sequential(same_conv(channels_in, channels_out, kernel, stride), nn.LeakyReLU(slope))


def upsample(x: Tensor) -> Tensor:
    """Repeat each pixel in twice the height and width."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def near_white(values: Tensor, threshold: float) -> Tensor:
    """0 up to ``threshold``, 1 where the photograph is saturated, linear between; elementwise."""
    return ((values - threshold) * (1.0 / (1.0 - threshold))).clamp(0.0, 1.0)


class Offset(nn.Module):
    """Take a mean of each channel off a photograph, and divide by a deviation where one is given.

    Zero padding behind it is that mean: it cannot go into the bias of a padded convolution.
    """

    mean: Tensor
    factor: Tensor | None

    def __init__(self, mean: tuple[float, ...], deviation: tuple[float, ...] | None = None) -> None:
        """For as many channels as ``mean`` has numbers."""
        super().__init__()
        self.register_buffer("mean", _by_channel(mean), persistent=False)
        factor = None if deviation is None else _by_channel(tuple(1 / d for d in deviation))
        self.register_buffer("factor", factor, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """float32 [N, C, H, W] to the same."""
        centred = image - self.mean
        return centred if self.factor is None else centred * self.factor


def _by_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).reshape(1, -1, 1, 1)
