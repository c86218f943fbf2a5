"""Photographs from file to file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fixtures_artefacts import ArtefactFactory
from PIL import Image
from rich.console import Console

from compile.imaging.write_hdr import HdrOptions
from device.runtime.infer_photos import infer_photos
from device.runtime.run_artefact import Session


def test_one_that_fails_is_told_in_its_place(artefact: ArtefactFactory, tmp_path: Path) -> None:
    session = Session(artefact())
    height, width = session.artefact.size
    outputs = []
    for number in range(6):
        path = tmp_path / f"{number}.jpg"
        # The fourth is larger than the network, in both directions.
        size = (2 * width, 2 * height) if number == 3 else (width, height - number)
        Image.fromarray(np.full((*size[::-1], 3), 40 * number, np.uint8)).save(path)
        outputs.append((path, tmp_path / f"{number}.png"))
    outputs.insert(2, (tmp_path / "none.jpg", tmp_path / "none.png"))
    quiet = Console(quiet=True)
    results = list(infer_photos(session, outputs, "pad", HdrOptions(), "all", quiet))
    assert [(result.photo, result.output) for result in results] == outputs
    assert [result.error is None for result in results] == [True] * 2 + [False, True] * 2 + [True]
    made = sorted(path.name for path in tmp_path.glob("*.png"))
    assert made == [f"{number}.png" for number in (0, 1, 2, 4, 5)]
    assert Image.open(tmp_path / "4.png").size == (width, height - 4)


def test_a_photograph_that_is_shrunk_has_a_base_of_its_size(
    artefact: ArtefactFactory, tmp_path: Path
) -> None:
    session = Session(artefact())
    height, width = session.artefact.size
    photo, output = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    Image.fromarray(np.full((3 * height, 2 * width, 3), 90, np.uint8)).save(photo)
    options = session, [(photo, output)], "resize", HdrOptions(), "all"
    (result,) = infer_photos(*options, Console(quiet=True))
    assert result.error is None
    scale = max(min(1 / 3, 1 / 2), min(height / (2 * width), width / (3 * height)))
    with Image.open(output) as image:
        assert image.size == (round(2 * width * scale), round(3 * height * scale))
