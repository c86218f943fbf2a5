"""HDR files: those that are read as they are, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import OpenEXR
import pytest

from compile.support.errors import DataError, PhotoError
from compile.training.scenes.load import load_places
from compile.training.scenes.luminance_chroma import rgb_of
from compile.training.scenes.read_hdr import read_hdr, read_panorama
from compile.training.scenes.views import Picture
from compile.training.scenes.write_exr import write_exr
from compile.training.virtual_camera import LUMINANCE

LIGHT = np.random.default_rng(0).uniform(0, 50, (16, 32, 3)).astype(np.float32)


def _write(path: Path, channels: dict[str, np.ndarray]) -> None:
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, channels) as file:
        file.write(str(path))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_openexr_as_written(tmp_path: Path, dtype: type):
    write_exr(tmp_path / "a.exr", LIGHT.astype(dtype))
    np.testing.assert_array_equal(read_hdr(tmp_path / "a.exr"), LIGHT.astype(dtype))


def test_openexr_of_a_view(tmp_path: Path):
    for view in (
        LIGHT[:, ::-1],
        LIGHT[::2, 3:],
        np.moveaxis(LIGHT.transpose(2, 1, 0).copy(), 0, 2),
    ):
        write_exr(tmp_path / "a.exr", view)
        np.testing.assert_array_equal(read_hdr(tmp_path / "a.exr"), view)


def test_radiance_to_its_precision(tmp_path: Path):
    (tmp_path / "a.hdr").write_bytes(imagecodecs.rgbe_encode(LIGHT, header=True))
    # One exponent for three mantissas of 8 bits.
    largest = LIGHT.max(-1, keepdims=True)
    assert np.all(np.abs(read_hdr(tmp_path / "a.hdr") - LIGHT) <= largest / 128)


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, "not a number"), (np.inf, "infinite"), (-0.25, "negative")],
)
def test_values_that_no_light_has(tmp_path: Path, value: float, words: str):
    light = LIGHT.copy()
    light[3, 5, 2] = value
    write_exr(tmp_path / "a.exr", light)
    with pytest.raises(PhotoError, match=f"a.exr has 1 values that are {words}.*column 5, row 3"):
        read_hdr(tmp_path / "a.exr")


@pytest.mark.parametrize("names", ["Y", "RGBA"])
def test_other_channels(tmp_path: Path, names: str):
    _write(tmp_path / "a.exr", {name: LIGHT[..., 0].copy() for name in names})
    with pytest.raises(PhotoError, match="a.exr has the channels .* not R, G, B"):
        read_hdr(tmp_path / "a.exr")


def test_luminance_and_chroma_become_rgb():
    """Of two flat halves, whose chroma is at half the size."""
    light = np.repeat(np.float32([[[4, 2, 1]], [[0.1, 0.2, 0.8]]]), 8, 0).repeat(16, 1)
    luminance = light @ LUMINANCE
    red, blue = (
        ((light[..., channel] - luminance) / luminance)[::2, ::2].astype(np.float16)
        for channel in (0, 2)
    )
    found = rgb_of({"Y": luminance, "RY": red, "BY": blue})
    away = np.abs(np.arange(16) - 7.5) > 2
    np.testing.assert_allclose(found[away], light[away], rtol=2e-3)


def test_a_grey_picture_with_another_view(tmp_path: Path):
    luminance = LIGHT[..., 0].copy()
    _write(tmp_path / "b.exr", {"Y": luminance, "right.Y": luminance / 2})
    np.testing.assert_array_equal(
        read_hdr(tmp_path / "b.exr", check=False), np.repeat(luminance[..., None], 3, -1)
    )


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.exr", b"", "damaged"),
        ("a.exr", b"not a picture", "damaged"),
        ("a.hdr", b"", "damaged"),
        ("a.hdr", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 16 +X 32\n", "damaged"),
        ("a.tif", b"II*", "no HDR picture by its name"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, data: bytes, words: str):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(PhotoError, match=words):
        read_hdr(tmp_path / name)


def test_missing_file(tmp_path: Path):
    with pytest.raises(PhotoError, match=r"a\.exr does not exist"):
        read_hdr(tmp_path / "a.exr")


def test_panoramas_are_two_to_one(tmp_path: Path):
    write_exr(tmp_path / "a.exr", LIGHT[:, :30])
    with pytest.raises(PhotoError, match=r"a\.exr is 30x16 pixels, not 2:1"):
        read_panorama(tmp_path / "a.exr")


def test_a_folder_without_bad_files(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_exr(tmp_path / "mine.exr", LIGHT)
    write_exr(tmp_path / "narrow.exr", LIGHT[:, :30])
    write_exr(tmp_path / "rooitou_park.exr", LIGHT)
    (tmp_path / "notes.txt").write_text("not a panorama")
    assert list(load_places(tmp_path, "train")) == ["mine"]
    assert list(load_places(tmp_path, "test")) == ["rooitou_park"]
    assert "skipped" in caplog.text and "narrow.exr" in caplog.text


def test_a_flat_picture_of_the_catalogue_needs_no_shape(tmp_path: Path):
    write_exr(tmp_path / "golden_gate.exr", LIGHT[:, :30])
    assert isinstance(load_places(tmp_path, "train")["golden_gate"], Picture)


def test_folders_without_panoramas(tmp_path: Path):
    with pytest.raises(DataError, match="holds no train scene"):
        load_places(tmp_path, "train")
    with pytest.raises(DataError, match="is no folder"):
        load_places(tmp_path / "missing", "train")
