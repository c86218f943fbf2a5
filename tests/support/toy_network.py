"""A network that is not MQNet: a convolution with its batch norm, and one more on top."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from compile.networks.network import Network
from compile.networks.registry import NETWORKS, network_named


class Toy(nn.Module):
    """float32 [N, 3, H, W] to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.body = nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())
        self.top = nn.Conv2d(width, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        return torch.tanh(self.top(self.body(image)))


@dataclass(frozen=True)
class ToyNetwork(Network):
    """As the compiler knows it."""

    name: ClassVar[str] = "toy"
    backbone: ClassVar[str] = "body"
    size_multiple: ClassVar[int] = 8
    least_side: ClassVar[int] = 16
    folder: ClassVar[Path]

    width: str = "8"

    def weights(self, fine_tuned: bool) -> Path:
        return self.folder / f"toy-{self.width}.safetensors"

    def architecture(self) -> Toy:
        return Toy(int(self.width))

    def load(self, checkpoint: Path) -> Toy:
        net = self.architecture()
        net.load_state_dict(load_file(checkpoint), strict=False)
        return net.eval()


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    """The network, registered, with random weights in ``tmp_path``."""
    monkeypatch.setitem(NETWORKS, "toy", ToyNetwork)
    monkeypatch.setattr(ToyNetwork, "folder", tmp_path, raising=False)
    torch.manual_seed(0)
    network = network_named("toy", width="12")
    state = Toy(12).state_dict()
    save_file({n: t for n, t in state.items() if t.is_floating_point()}, network.weights(False))
    return network
