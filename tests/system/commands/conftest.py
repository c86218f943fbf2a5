"""What the tests of bad input work on."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import (
    MAINS,
    QUICK,
    Command,
    Outcome,
    as_user,
)
from fixtures_artefacts import ArtefactFactory
from PIL import Image


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Iterator[Command]:
    """Runs a command in this process: ``here("compile/infer", artefact, photo, "-o", output)``."""
    loggers = [logging.getLogger(name) for name in ("compile", "torch")]
    before = [logger.level for logger in loggers]

    def run(command: str, *args: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", [f"{command}.py", *map(str, args)])
        capfd.readouterr()
        code = 0
        numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
        handlers = list(map(signal.getsignal, numbers))
        try:
            MAINS[command]()
        except SystemExit as end:
            code = end.code
        finally:  # A command leaves them to the system when it ends.
            list(map(signal.signal, numbers, handlers))
        return Outcome(code, *capfd.readouterr())

    yield run
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph that fits the artefact."""
    path = tmp_path / "photo.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    Image.fromarray(pixels).save(path, quality=90)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An empty folder for results."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def host(artefact: ArtefactFactory) -> Path:
    """The folder of a whole artefact of this machine."""
    return artefact().library.parent


@pytest.fixture
def copy(host: Path, tmp_path: Path) -> Path:
    """A copy of the artefact, to be damaged."""
    return Path(shutil.copytree(host, tmp_path / "copy"))


@pytest.fixture
def read_only(out: Path) -> Iterator[Path]:
    """``out``, which its owner may not write to."""
    out.chmod(0o500)
    yield out
    out.chmod(0o700)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 256 KiB; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk, and not in every container")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def quick_build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """A whole build by the command line, and what it printed."""
    folder = tmp_path_factory.mktemp("quick") / "artefact"
    return folder, as_user("compile/build", *QUICK, "--out", folder, "--json")
