"""A network of few kernels, for tests of whole tuning sessions."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

#: That are tuned; one more, a mean, has one configuration.
KERNELS = 7
#: Options of the commands that take a network.
TUNED = ("--scheme", "fp32", "--network", f"{Path(__file__).resolve()}:build")


class Net(nn.Module):
    """float32 [1, 3, 32, 32] to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.ReLU())
        self.pointwise = nn.Conv2d(32, 64, 1)
        self.up = nn.Sequential(nn.PixelShuffle(2), nn.Conv2d(16, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y = self.pointwise(self.depthwise(self.down(y)))
        return self.up(y * y.mean((2, 3), keepdim=True)) + x


def build() -> tuple[nn.Module, tuple[Tensor]]:
    """The network, and an input."""
    torch.manual_seed(0)
    return Net().eval(), (torch.rand(1, 3, 32, 32),)
