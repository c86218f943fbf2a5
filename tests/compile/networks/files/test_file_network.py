"""What the compiler asks of a network from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from quantized_files import SIZE, quantized, residual, saved
from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
    X86InductorQuantizer,
    get_default_x86_inductor_quantization_config,
)

from compile.networks.network import Network
from compile.networks.registry import built_network, find_network
from compile.support.errors import MqnetError


@pytest.fixture
def floats(tmp_path: Path) -> Path:
    net, x = residual()
    return saved(torch.export.export(net, (x,)), tmp_path / "floats.pt2")


@pytest.fixture
def integers(tmp_path: Path) -> Network:
    quantizer = X86InductorQuantizer().set_global(get_default_x86_inductor_quantization_config())
    path = saved(quantized(*residual(), quantizer), tmp_path / "integers.pt2")
    return find_network(str(path), {})


def test_it_says_what_it_is(floats: Path) -> None:
    network = find_network(str(floats), {"head": "tail"})
    assert network.label == network.title == "floats" and network.channels == 3
    assert network.size == network.default_size == SIZE
    assert network.scheme == "" and network.weights(fine_tuned=False) is None
    assert built_network(network.title, network.parameters) == network
    assert all(photo.shape[2] == 3 for photo in network.calibration_photos())


def test_its_size_is_the_only_one(floats: Path) -> None:
    network = find_network(str(floats), {})
    network.check_size(*SIZE)
    for ask in (network.check_size, network.fitting_size):
        with pytest.raises(MqnetError, match=r"takes 32x48 and not 64x64: leave --size out"):
            ask(64, 64)


def test_its_content_is_that_of_file_and_photographs(floats: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes(b"1")

    def content() -> str:
        return find_network(str(floats), {"calibrate": str(photos)}).content

    first = content()
    (photos / "a.png").write_bytes(b"2")
    second = content()
    floats.write_bytes(floats.read_bytes() + b" ")
    assert len({first, second, content()}) == 3


def test_floats_need_photographs_for_int8(floats: Path) -> None:
    network = find_network(str(floats), {})
    network.check_scheme("fp32", False)
    with pytest.raises(MqnetError, match=r"is in float, and scheme int8 needs.*--calibrate"):
        network.check_scheme("int8", True)
    find_network(str(floats), {"calibrate": "photos"}).check_scheme("int8", True)


def test_quantized_file_keeps_its_scheme(integers: Network) -> None:
    integers.check_scheme("int8", True)
    with pytest.raises(MqnetError, match=r"quantized already, as int8: leave --scheme mixed out"):
        integers.check_scheme("mixed", True)
    for option in ("head", "calibrate"):
        network = find_network(integers.parameters["source"], {option: "something"})
        with pytest.raises(MqnetError, match=f"quantized already: leave --{option} out"):
            network.check_scheme("int8", True)


def test_file_that_is_not_there() -> None:
    with pytest.raises(MqnetError, match=r"nowhere.pt2 is no file"):
        find_network("nowhere.pt2", {}).load(None)
    with pytest.raises(MqnetError, match=r"unknown network 'net.keras'.*\.pt2"):
        find_network("net.keras", {})
