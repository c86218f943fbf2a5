"""Files of other engines: the right ones, whole, and of the weights that are bundled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.peers import peer_files
from bench.peers.peer_files import SIZES, peer_file, write_checksums
from compile.support.errors import MqnetError


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "peer_files"
    folder.mkdir()
    for name in ("checksums.toml", "onnx-mixed.onnx"):
        shutil.copy(peer_files.PEER_FILES / name, folder)
    monkeypatch.setattr(peer_files, "PEER_FILES", folder)
    monkeypatch.setattr(peer_files, "_CHECKSUMS", folder / "checksums.toml")
    return folder


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["fp32", "fp16", "w8a32", "w8a16", "int8", "mixed"])
def test_litert_files_are_of_the_bundled_weights(scheme: str, size: tuple[int, int]):
    assert peer_file(f"litert-{scheme}-{size[0]}x{size[1]}.tflite").stat().st_size < 5e6


@pytest.mark.parametrize("scheme", ["fp32", "int8", "mixed"])
def test_onnx_files_are_of_the_bundled_weights(scheme: str):
    assert peer_file(f"onnx-{scheme}.onnx").stat().st_size < 5e6


def test_no_file_tells_of_the_machine_that_made_it():
    """PyTorch's exporter writes the stack of every call into a file, with the folders in it."""
    files = sorted(peer_files.PEER_FILES.glob("*.*"))
    assert len(files) > 10
    for path in files:
        data = path.read_bytes()
        assert b"site-packages" not in data and b'File "' not in data, path.name


def test_damaged(copies: Path):
    with (copies / "onnx-mixed.onnx").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(MqnetError, match=r"onnx-mixed\.onnx is damaged: .*make peers"):
        peer_file("onnx-mixed.onnx")


def test_missing(copies: Path):
    for name in ("onnx-int8.onnx", "unheard-of.onnx"):
        with pytest.raises(MqnetError, match=f"{name} is not there"):
            peer_file(name)


@pytest.mark.parametrize("text", [None, "weights = "])
def test_no_checksums(copies: Path, text: str | None):
    (copies / "checksums.toml").unlink()
    if text is not None:
        (copies / "checksums.toml").write_text(text)
    with pytest.raises(MqnetError, match=r"checksums\.toml cannot be read"):
        peer_file("onnx-mixed.onnx")


def test_of_other_weights(copies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "ca.safetensors").write_bytes(b"others")
    monkeypatch.setattr(peer_files, "BUNDLED", tmp_path)
    with pytest.raises(MqnetError, match="of other weights than the bundled ones"):
        peer_file("onnx-mixed.onnx")
    write_checksums()
    assert peer_file("onnx-mixed.onnx").exists()
