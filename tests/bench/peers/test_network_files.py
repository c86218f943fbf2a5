"""Other engines' files of any network: of which weights they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bench.peers.network_files import check_weights, files_of, note_weights
from bench.peers.peer_files import engine_file, litert_name, onnx_file
from compile.networks.registry import network_named
from compile.support.atomic import make_folder
from compile.support.errors import MqnetError


def test_files_are_of_the_weights_that_were_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    network = network_named("unet", divisor="32")
    net = network.load(None)
    with pytest.raises(MqnetError, match="unet-32th holds no files .*make peers NETWORK=unet"):
        check_weights(network, net)
    make_folder(files_of(network))
    note_weights(network, net)
    assert check_weights(network, network.load(None)) == Path("build/peers/unet-32th")
    with torch.no_grad():
        next(net.parameters()).add_(1)
    with pytest.raises(MqnetError, match="files of other weights: make them again"):
        check_weights(network, net)


def test_a_file_that_was_not_made(tmp_path: Path) -> None:
    name = litert_name("int8", (64, 96))
    with pytest.raises(MqnetError, match=r"litert-int8-64x96.tflite is not there: it is not made"):
        engine_file(tmp_path, name)
    (tmp_path / name).write_bytes(b"a file")
    assert engine_file(tmp_path, name) == tmp_path / name
    (tmp_path / "onnx-int8-64x96.onnx").write_bytes(b"a file")
    assert onnx_file("int8", (64, 96), tmp_path).name == "onnx-int8-64x96.onnx"
    assert onnx_file("int8", (64, 96), None).name == "onnx-int8.onnx"
