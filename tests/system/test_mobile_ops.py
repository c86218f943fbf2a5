"""What mobile networks are made of, each in a small network of odd sizes: integers throughout, bit
for bit as in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from integer_networks import check_floats, check_integers
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = (37, 51)


class Between(nn.Module):
    """``function`` between two convolutions, of which the first has ``channels`` outputs."""

    def __init__(self, function: Callable[[Tensor], Tensor] | nn.Module, channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1), nn.ReLU())
        self.function = function
        self.last = nn.LazyConv2d(48, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x)))


class SqueezeAndExcite(nn.Module):
    """As in MobileNetV3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return x * F.hardsigmoid(self.up(F.relu(self.down(mean))))


class Dense(nn.Module):
    """A classifier, whose result is a feature map again."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.auxiliary = nn.Linear(channels, 3)  # For training, and never called here.
        self.layers = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, 37),
            nn.BatchNorm1d(37),
            nn.Hardswish(inplace=True),
            nn.Dropout(0.2),
            nn.Linear(37, 64, bias=False),
            nn.Unflatten(1, (64, 1, 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


OPS = {
    "nearest, to a size": (lambda x: F.interpolate(x, (29, 17)), 13),
    "nearest, by another factor": (lambda x: F.interpolate(x, scale_factor=(2, 0.5)), 13),
    "aligned corners": (
        lambda x: F.interpolate(x, (29, 40), mode="bilinear", align_corners=True),
        16,
    ),
    "bilinear, of one pixel": (
        lambda x: F.interpolate(x.mean((2, 3), True), x.shape[2:], mode="bilinear") + x,
        16,
    ),
    "groups of 8": (nn.Conv2d(24, 48, 3, 2, 1, groups=3), 24),
    "groups of 6": (nn.Sequential(nn.Conv2d(18, 12, 3, 1, 1, groups=3), nn.ReLU6()), 18),
    "groups of 1x1": (nn.Conv2d(32, 64, 1, groups=4), 32),
    "dilated groups": (nn.Conv2d(16, 16, 3, 1, 2, 2, groups=2), 16),
    "two outputs of a channel": (nn.Conv2d(12, 24, 3, 1, 1, groups=12, bias=False), 12),
    "hard-swish": (nn.Hardswish(), 13),
    "hard-sigmoid": (nn.Hardsigmoid(), 13),
    "GELU": (nn.GELU(), 8),
    "GELU by tanh": (nn.GELU("tanh"), 8),
    "PReLU": (nn.PReLU(13), 13),
    "PReLU of one": (nn.PReLU(), 13),
    "channel shuffle": (nn.ChannelShuffle(3), 12),
    "channel shuffle by hand": (
        lambda x: x.view(1, 2, 8, *x.shape[2:]).transpose(1, 2).contiguous().flatten(1, 2),
        16,
    ),
    "pixel unshuffle": (lambda x: F.pixel_unshuffle(x[:, :, 1:, :], 2), 6),
    "slices": (lambda x: torch.cat([x[:, 3:], x[:, :3] * 2, x[:, ::4]], 1), 16),
    "chunks": (lambda x: torch.cat([x.chunk(2, 1)[1], x.chunk(2, 1)[0].relu()], 1), 16),
    "squeeze-and-excite": (SqueezeAndExcite(16), 16),
    "dense layers": (Dense(16), 16),
    "zeros before the largest": (lambda x: F.max_pool2d(F.pad(x - 0.4, (0, 1, 2, 1)), 3, 2), 13),
    "dense layers with limits": (
        nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 37), nn.ReLU()),
            *(nn.Linear(37, 64), nn.ReLU6(), nn.Unflatten(1, (64, 1, 1))),
        ),
        16,
    ),
    "average": (lambda x: F.avg_pool2d(x, 2), 13),
    "average, padding counts": (lambda x: F.avg_pool2d(x, 3, 1, 1), 16),
    "average of what is inside": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), 13),
    "average, rounded up": (nn.AvgPool2d(2, ceil_mode=True), 16),
    "largest, rounded up": (nn.MaxPool2d(3, 2, ceil_mode=True), 16),
}


@pytest.mark.parametrize("name", OPS)
def test_op_in_float(name: str) -> None:
    function, channels = OPS[name]
    check_floats(Between(function, channels), *SIZE)


@pytest.mark.parametrize("name", OPS)
def test_op_is_in_integers(name: str) -> None:
    function, channels = OPS[name]
    found = check_integers(Between(function, channels), *SIZE)
    assert found.distinct > 24, "so flat a result would prove nothing"
    assert found.head == ["fused_dequantize_cast"]
    if name == "dense layers with limits":
        # The photograph is scaled.
        assert found.kernels[0] == "rescale" and len(found.kernels) == 6
