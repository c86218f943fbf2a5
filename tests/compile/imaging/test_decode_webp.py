"""WebP by Pillow: pixels, what EXIF and ICC say, and damage."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from picture_files import scene
from PIL import Image, ImageOps

from compile.imaging import gamuts
from compile.imaging.read_photo import read_photo, read_wide_photo
from compile.support.errors import PhotoError

SCENE = scene(45, 67)


def webp(tmp_path: Path, image: Image.Image, **options: object) -> Path:
    image.save(tmp_path / "photo.webp", **{"lossless": True, "exact": True, **options})
    return tmp_path / "photo.webp"


def test_pixels(tmp_path: Path) -> None:
    photo = Image.fromarray(SCENE)
    assert np.array_equal(read_photo(webp(tmp_path, photo)), SCENE)
    lossy = read_photo(webp(tmp_path, photo, lossless=False, quality=95)).astype(int)
    assert np.abs(lossy - SCENE).mean() < 4
    photo.putalpha(Image.fromarray(np.full(SCENE.shape[:2], 51, np.uint8)))
    half = read_photo(webp(tmp_path, photo))
    assert np.array_equal(half, np.rint(SCENE * 51.0 / 255))


def test_of_an_animation_the_first(tmp_path: Path) -> None:
    more = [Image.fromarray(255 - SCENE)]
    path = webp(tmp_path, Image.fromarray(SCENE), save_all=True, append_images=more)
    assert np.array_equal(read_photo(path), SCENE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = webp(tmp_path, Image.fromarray(SCENE), exif=exif)
    with Image.open(path) as image:
        assert np.array_equal(read_photo(path), np.asarray(ImageOps.exif_transpose(image)))


def test_colours(tmp_path: Path) -> None:
    path = webp(tmp_path, Image.fromarray(SCENE), icc_profile=gamuts.P3.profile)
    read = read_wide_photo(path)
    assert read.gamut is gamuts.P3 and np.array_equal(read.pixels, SCENE)


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    path = webp(tmp_path, Image.fromarray(SCENE))
    data = path.read_bytes()
    for length in (14, 40, len(data) - 4):
        path.write_bytes(data[:length])
        with pytest.raises(PhotoError, match="truncated or damaged"):
            read_photo(path)
    stream = io.BytesIO(data)
    path.write_bytes(stream.getvalue()[:30] + bytes(20) + data[50:])
    with pytest.raises(PhotoError, match="truncated or damaged"):
        read_photo(path)
