"""A network of few modules, one of which should not be in int8, for tests of precision searches."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

#: Options of the commands that take a network.
SEARCHED = ("--network", f"{Path(__file__).resolve()}:build")


class Net(nn.Module):
    """float32 [1, 3, 32, 32] to the same; the norm makes heavy tails of what the head reads."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 1))
        self.head = nn.Sequential(nn.InstanceNorm2d(8, affine=True), nn.Conv2d(8, 3, 1))
        nn.init.constant_(self.head[0].weight, 4.0)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.head(self.body(x) ** 3))


def build() -> tuple[nn.Module, tuple[Tensor]]:
    """The network, and an input."""
    torch.manual_seed(0)
    return Net().eval(), (torch.rand(1, 3, 32, 32),)
