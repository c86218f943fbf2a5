"""How many photographs a second, beside the network's own rate."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures_artefacts import ArtefactFactory

from bench.profiling.measure_photographs import measure_photographs
from compile.imaging.bundled import bundled_photos
from compile.imaging.write_hdr import HdrOptions
from compile.support.errors import PhotoError


def test_rates(artefact: ArtefactFactory) -> None:
    photos = bundled_photos("test")[:2]
    row = measure_photographs(artefact(), 1, photos, "png", HdrOptions(), 3, 2)
    assert (row.format, row.threads) == ("png", 1)
    assert row.share == pytest.approx(row.photographs_per_second / row.frames_per_second)
    assert 0 < row.frame_cpu_ms < row.photograph_cpu_ms


def test_a_file_that_is_no_photograph(artefact: ArtefactFactory, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"words")
    with pytest.raises(PhotoError):
        measure_photographs(artefact(), 1, [tmp_path / "x.jpg"], "png", HdrOptions(), 1, 1)
