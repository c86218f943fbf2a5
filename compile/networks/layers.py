"""Small parts that several networks are made of."""

from __future__ import annotations

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


def upsample(x: Tensor) -> Tensor:
    """Repeat each pixel in twice the height and width."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
