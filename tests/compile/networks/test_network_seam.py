"""Another network than MQNet, from its file to an artefact that runs: what the seam is for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from compile.build_network import build_network, quantized_program
from compile.build_request import BuildRequest, parse_size
from compile.networks.network import Network
from compile.networks.registry import network_named
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from device.runtime.run_artefact import Session

SIZE = (40, 56)


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
