"""Weights of a converted graph are called as their modules, also where several calls share them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from compile.networks.seeded_network import SeededNetwork
from compile.quantize.quantize import quantize_network
from compile.quantize.schemes import scheme_named


class Twice(nn.Module):
    """One convolution that is called two times."""

    SIZE_MULTIPLE: ClassVar[int] = 1
    LEAST_SIDE: ClassVar[int] = 1

    def __init__(self, _divisor: int) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(torch.relu(self.backbone(x))))


@dataclass(frozen=True)
class TwiceEntry(SeededNetwork):
    name: ClassVar[str] = "twice"
    module: ClassVar = Twice


def test_shared_weights_are_stored_once() -> None:
    network, photo = TwiceEntry(), np.full((256, 256, 3), 99, np.uint8)
    program = quantize_network(network, network.load(None), scheme_named("w8a32"), [photo], 16, 16)
    weights = {name for name, t in program.state_dict.items() if t.dtype is torch.int8}
    assert weights == {"net.backbone.weight", "net.head.weight"}
