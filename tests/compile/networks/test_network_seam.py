"""Another network than MQNet, from its file to an artefact that runs: what the seam is for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from compile.build_network import BuildRequest, build_network, parse_size, quantized_program
from compile.networks.network import Network
from compile.networks.registry import NETWORKS, network_named
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from device.runtime.run_artefact import Session

SIZE = (40, 56)


class Toy(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.body = nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())
        self.top = nn.Conv2d(width, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        return torch.tanh(self.top(self.body(image)))


@dataclass(frozen=True)
class ToyNetwork(Network):
    name: ClassVar[str] = "toy"
    backbone: ClassVar[str] = "body"
    size_multiple: ClassVar[int] = 8
    least_side: ClassVar[int] = 16
    folder: ClassVar[Path]

    width: str = "8"

    def weights(self, fine_tuned: bool) -> Path:
        return self.folder / f"toy-{self.width}.safetensors"

    def load(self, checkpoint: Path) -> Toy:
        net = Toy(int(self.width))
        net.load_state_dict(load_file(checkpoint), strict=False)
        return net.eval()


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setitem(NETWORKS, "toy", ToyNetwork)
    monkeypatch.setattr(ToyNetwork, "folder", tmp_path, raising=False)
    torch.manual_seed(0)
    network = network_named("toy", width="12")
    state = Toy(12).state_dict()
    save_file({n: t for n, t in state.items() if t.is_floating_point()}, network.weights(False))
    return network


@pytest.mark.parametrize(
    ("scheme", "boundaries", "tolerance"),
    [("fp32", 0, 1e-5), ("w8a32", 0, 1e-5), ("mixed", 1, 2e-2)],
)
def test_it_goes_the_whole_way(
    toy: Network, tmp_path: Path, scheme: str, boundaries: int, tolerance: float
) -> None:
    request = BuildRequest("host", scheme, toy, SIZE, threads=1, out=tmp_path / "out")
    program = quantized_program(request)
    artefact = build_network(request, Progress(Console(quiet=True)), program)
    image = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8)
    output, _ = Session(artefact).run(image)
    expected = program.module()(torch.from_numpy(image)[None])[0].detach().numpy()
    # One step of an int8 activation, where PyTorch's float sum falls on the other side of a tie.
    np.testing.assert_allclose(output, expected, atol=tolerance)
    assert np.std(expected) > 0.05, "the comparison is worth something"
    manifest = artefact.manifest
    assert manifest.network == "toy" and manifest.checkpoint.name == "toy-12.safetensors"
    assert len(manifest.boundary) == boundaries


def test_its_name_its_sizes_and_its_parameters(toy: Network) -> None:
    assert toy.label == "toy-12" and toy.parameters == {"width": "12"}
    assert parse_size("33x50", toy) == SIZE
    with pytest.raises(MqnetError, match="size 15x40 is below 16x16"):
        parse_size("15x40", toy)
    with pytest.raises(MqnetError, match="multiples of 8"):
        toy.check_size(36, 40)


def test_an_unknown_network_names_those_that_there_are() -> None:
    with pytest.raises(MqnetError, match="unknown network 'vgg': choose one of mqnet"):
        network_named("vgg")


def test_a_wrong_parameter_is_refused() -> None:
    with pytest.raises(MqnetError, match="unknown attention 'cbam'"):
        network_named("mqnet", attention="cbam")
