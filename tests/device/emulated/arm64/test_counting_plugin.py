"""QEMU's plugin: compiled where there is a compiler, and what is said where it does not serve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.peers.peer_files import peer_file
from compile.support.errors import TargetError
from compile.support.frame import frame_of
from device.emulated.arm64 import counting_plugin as plugin_module
from device.emulated.arm64.board_core import board_core
from device.emulated.arm64.count_instructions import count_on_board
from device.emulated.arm64.counting_plugin import counting_plugin


def test_the_plugin_is_compiled(tmp_path: Path):
    library = counting_plugin(tmp_path)
    assert library.parent == tmp_path and library.read_bytes().startswith(b"\x7fELF")


def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match=r"no C compiler is on PATH.*apt-get install gcc"):
        counting_plugin(tmp_path)


def test_a_compiler_that_refuses_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'x.c:1: error: no such type' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(TargetError, match=r"count_instructions\.c: x\.c:1: error: no such type"):
        counting_plugin(tmp_path)


def test_a_qemu_of_another_plugin_interface(
    arm64_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is the plugin that is of another one: to QEMU that is the same."""
    source = tmp_path / "count_instructions.c"
    text = plugin_module._SOURCE.read_text()
    source.write_text(text.replace("int qemu_plugin_version = 1", "int qemu_plugin_version = 77"))
    assert source.read_text() != text
    monkeypatch.setattr(plugin_module, "_SOURCE", source)
    network = peer_file("litert-mixed-256x256.tflite")
    frame = frame_of(np.zeros((256, 256, 3), np.uint8))
    with pytest.raises(TargetError, match=r"API version 77.*plugin interface is version 1"):
        count_on_board(arm64_root, network, frame, board_core("cortex-a76"), "litert")
