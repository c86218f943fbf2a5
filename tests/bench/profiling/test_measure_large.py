"""Large photographs through the command itself, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures_artefacts import ArtefactFactory
from PIL import Image

from bench.profiling.measure_large import measure_large, write_large_photo
from compile.support.errors import PhotoError


def test_memory_is_that_of_the_command(artefact: ArtefactFactory, tmp_path: Path) -> None:
    """Not of the process that asks, which holds more."""
    write_large_photo(tmp_path / "photo.jpg", 333, 221)
    held = bytearray(1 << 30)
    held[::4096] = b"1" * len(held[::4096])
    build = artefact(size=(192, 192), tiles=True).library.parent
    row = measure_large(build, tmp_path / "photo.jpg", (333, 221), tmp_path / "out.jpg")
    assert (row.width, row.height, row.format) == (333, 221, "jpg")
    assert 30e6 < row.peak_bytes < 0.6 * len(held)
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == (333, 221)


def test_what_the_command_says(artefact: ArtefactFactory, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"words")
    with pytest.raises(PhotoError, match=r"^[^ ]*x\.jpg is a text file"):
        measure_large(artefact().library.parent, tmp_path / "x.jpg", (64, 64), tmp_path / "out.jpg")
