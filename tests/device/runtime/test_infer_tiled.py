"""Photographs of any size to files: as by a build of their own size, and what fits as before."""

from __future__ import annotations

import io
from pathlib import Path

import imagecodecs
import numpy as np
import OpenEXR
from fixtures_artefacts import ArtefactFactory
from PIL import Image
from rich.console import Console

from compile.imaging.decode_hdr import decode_hdr
from compile.imaging.fit_size import fit_photo
from compile.imaging.read_photo import read_photo
from compile.imaging.smooth_blown import smooth_blown
from compile.imaging.transfer import srgb_decode
from compile.imaging.write_hdr import HdrOptions
from device.runtime.infer_photos import PhotoResult
from device.runtime.infer_tiled import infer_tiled
from device.runtime.run_artefact import Session

#: As in test_tiled_network.py, whose builds these are.
TILE, WHOLE = (192, 192), (224, 288)


def smooth_photograph(path: Path) -> bytes:
    """A JPEG of 285x201 pixels, which a map of a quarter of its size can describe."""
    rows, columns = np.meshgrid(np.linspace(0, 2, 201), np.linspace(0, 3, 285), indexing="ij")
    pixels = 128 + 120 * np.stack([np.sin(rows), np.cos(columns), np.sin(rows * columns)], -1)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95, subsampling=0)
    return path.read_bytes()


def infer(session: Session, *paths: tuple[Path, Path]) -> list[PhotoResult]:
    quiet = Console(quiet=True)
    return list(infer_tiled(session, list(paths), HdrOptions(), "all", quiet))


def test_large_photographs(artefact: ArtefactFactory, tmp_path: Path) -> None:
    """A JPEG keeps the photograph's own file, and its map leads to the light that a build of its
    size makes; an EXR holds that light. One that cannot be read does not stop the others."""
    photo, missing = tmp_path / "photo.jpg", tmp_path / "missing.jpg"
    file = smooth_photograph(photo)
    session = Session(artefact(size=TILE, tiles=True))
    outputs = [tmp_path / name for name in ("out.jpg", "none.jpg", "out.exr")]
    results = infer(session, *zip((photo, missing, photo), outputs, strict=True))
    assert [result.error is None for result in results] == [True, False, True]
    assert all(result.seconds > 0 for result in results[::2])

    pixels = read_photo(photo)
    expected, _ = Session(artefact(size=WHOLE)).run(fit_photo(pixels, *WHOLE)[0])
    light = decode_hdr(expected[:201, :285])
    made = outputs[0].read_bytes()
    at = file.index(b"\xff\xda")
    assert file[at:] in made
    with Image.open(io.BytesIO(made[made.rindex(b"\xff\xd8\xff") :])) as gain_map:
        assert gain_map.size == (72, 51)
    shown = imagecodecs.ultrahdr_decode(made, boost=16.0)[..., :3].astype(np.float32)
    ratio = (shown + 1 / 64) / (light + 1 / 64)
    assert np.percentile(np.abs(np.log2(ratio)), 95) < 0.15
    # It is not the photograph itself.
    shot = srgb_decode(pixels / 255)
    assert np.abs(np.log2((light + 1 / 64) / (shot + 1 / 64))).max() > 0.5
    with OpenEXR.File(str(outputs[2])) as linear:
        np.testing.assert_allclose(linear.channels()["RGB"].pixels, light, rtol=2e-3, atol=1e-6)


def test_blown_areas_are_smoothed_across_tiles(artefact: ArtefactFactory, tmp_path: Path) -> None:
    smooth_photograph(photo := tmp_path / "photo.jpg")
    pixels = read_photo(photo)
    pixels[40:190, 90:270] = 255
    Image.fromarray(pixels).save(photo := tmp_path / "photo.png")
    (result,) = infer(Session(artefact(size=TILE, tiles=True)), (photo, tmp_path / "out.exr"))
    assert result.error is None
    h, _ = Session(artefact(size=WHOLE)).run(frame := fit_photo(pixels, *WHOLE)[0])
    plain = decode_hdr(h)
    smooth_blown(h, frame)
    light = decode_hdr(h[:201, :285])
    assert np.abs(light - plain[:201, :285]).max() > 1e-3
    with OpenEXR.File(str(tmp_path / "out.exr")) as linear:
        np.testing.assert_allclose(linear.channels()["RGB"].pixels, light, rtol=2e-3, atol=1e-6)


def test_a_photograph_that_fits_is_not_cut(artefact: ArtefactFactory, tmp_path: Path) -> None:
    photo, output = tmp_path / "photo.png", tmp_path / "out.jpg"
    Image.fromarray(np.full((100, 150, 3), 90, np.uint8)).save(photo)
    (result,) = infer(Session(artefact(size=TILE, tiles=True)), (photo, output))
    assert result.error is None
    made = output.read_bytes()
    with Image.open(io.BytesIO(made[made.rindex(b"\xff\xd8\xff") :])) as gain_map:
        assert gain_map.size == (150, 100)
