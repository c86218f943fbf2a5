"""Photographs from file to file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from fixtures_artefacts import ArtefactFactory
from PIL import Image
from rich.console import Console

from compile.imaging.decode_hdr import decode_hdr
from compile.imaging.fit_size import fit_photo
from compile.imaging.smooth_blown import smooth_blown
from compile.imaging.write_hdr import HdrOptions
from device.runtime.infer_photos import infer_photos, run_photo
from device.runtime.networks import Networks


@pytest.mark.parametrize("threads", [1, None])
def test_one_that_fails_is_told_in_its_place(
    artefact: ArtefactFactory, tmp_path: Path, threads: int | None
) -> None:
    networks = Networks(artefact(), threads, 7)
    height, width = networks.artefact.size
    outputs = []
    for number in range(6):
        path = tmp_path / f"{number}.jpg"
        # The fourth is larger than the network, in both directions.
        size = (2 * width, 2 * height) if number == 3 else (width, height - number)
        Image.fromarray(np.full((*size[::-1], 3), 40 * number, np.uint8)).save(path)
        outputs.append((path, tmp_path / f"{number}.png"))
    outputs.insert(2, (tmp_path / "none.jpg", tmp_path / "none.png"))
    quiet = Console(quiet=True)
    results = list(infer_photos(networks, outputs, "pad", HdrOptions(), "all", quiet))
    assert [(result.photo, result.output) for result in results] == outputs
    assert [result.error is None for result in results] == [True] * 2 + [False, True] * 2 + [True]
    made = sorted(path.name for path in tmp_path.glob("*.png"))
    assert made == [f"{number}.png" for number in (0, 1, 2, 4, 5)]
    assert Image.open(tmp_path / "4.png").size == (width, height - 4)


def test_a_photograph_that_is_shrunk_has_a_base_of_its_size(
    artefact: ArtefactFactory, tmp_path: Path
) -> None:
    networks = Networks(artefact(), None, 1)
    height, width = networks.artefact.size
    photo, output = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    Image.fromarray(np.full((3 * height, 2 * width, 3), 90, np.uint8)).save(photo)
    options = networks, [(photo, output)], "resize", HdrOptions(), "all"
    (result,) = infer_photos(*options, Console(quiet=True))
    assert result.error is None
    scale = max(min(1 / 3, 1 / 2), min(height / (2 * width), width / (3 * height)))
    with Image.open(output) as image:
        assert image.size == (round(2 * width * scale), round(3 * height * scale))


@pytest.mark.parametrize("is_turned", [False, True])
def test_the_photographs_own_file_is_the_base(
    artefact: ArtefactFactory, tmp_path: Path, is_turned: bool
) -> None:
    """Of one that lies on its side in the network, too, but not of one that EXIF turns."""
    networks = Networks(artefact(), 1, 1)
    height, width = networks.artefact.size
    exif = Image.Exif()
    exif[0x0112] = 6 if is_turned else 1
    photo, output = tmp_path / "photo.jpg", tmp_path / "out.jpg"
    shape = (height - 9, width - 20) if is_turned else (width - 3, height - 7)
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    Image.fromarray(pixels).save(photo, exif=exif)
    (result,) = infer_photos(
        networks, [(photo, output)], "pad", HdrOptions(), "all", Console(quiet=True)
    )
    assert result.error is None
    data = photo.read_bytes()
    assert (data[data.index(b"\xff\xdb") :] in output.read_bytes()) != is_turned


def test_blown_areas_are_smoothed(artefact: ArtefactFactory, tmp_path: Path) -> None:
    networks = Networks(artefact(), 1, 1)
    height, width = networks.artefact.size
    pixels = np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)
    pixels[8:-8, 12 : width // 2] = 255
    photo, output = tmp_path / "photo.png", tmp_path / "out.exr"
    Image.fromarray(pixels).save(photo)
    list(infer_photos(networks, [(photo, output)], "pad", HdrOptions(), "all", Console(quiet=True)))
    frame, _ = fit_photo(pixels, height, width)
    h, _ = networks.sessions[0].run(frame)
    plain = decode_hdr(h)
    smooth_blown(h, frame)
    light = decode_hdr(h)
    assert np.abs(light - plain).max() > 1e-3
    with OpenEXR.File(str(output)) as linear:
        np.testing.assert_allclose(linear.channels()["RGB"].pixels, light, rtol=2e-3, atol=1e-6)
    np.testing.assert_array_equal(run_photo(networks.sessions[0], pixels, "pad")[0], light)
