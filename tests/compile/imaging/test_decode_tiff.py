"""TIFF by Pillow and imagecodecs: what is read, and what is refused by name."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from picture_files import scene
from PIL import Image, ImageCms, ImageOps

from compile.imaging import gamuts
from compile.imaging.decode_tiff import decode_tiff
from compile.imaging.read_photo import read_photo, read_wide_photo
from compile.support.errors import PhotoError

SCENE = scene(45, 67)
DEEP = np.rint(SCENE * 65535.0 / 255).astype(np.uint16)
DEEP[0] += 100


def tiff(tmp_path: Path, image: Image.Image, **options: object) -> Path:
    image.save(tmp_path / "photo.tif", **options)
    return tmp_path / "photo.tif"


@pytest.mark.parametrize("how", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd"])
def test_rgb(tmp_path: Path, how: str | None) -> None:
    assert np.array_equal(
        read_photo(tiff(tmp_path, Image.fromarray(SCENE), compression=how)), SCENE
    )


def test_other_layouts(tmp_path: Path) -> None:
    photo = Image.fromarray(SCENE)
    assert np.array_equal(read_photo(tiff(tmp_path, photo, big_tiff=True)), SCENE)
    jpeg = read_photo(tiff(tmp_path, photo, compression="jpeg", quality=95)).astype(int)
    assert np.abs(jpeg - SCENE).mean() < 4
    palette = photo.quantize(50)
    path = tiff(tmp_path, palette)
    assert np.array_equal(read_photo(path), np.asarray(palette.convert("RGB")))
    grey = photo.convert("L")
    path = tiff(tmp_path, grey)
    assert np.array_equal(read_photo(path), np.repeat(np.asarray(grey)[..., None], 3, -1))
    white_is_zero = tiff(tmp_path, grey, tiffinfo={262: 0})
    with Image.open(white_is_zero) as image:
        expected = np.repeat(np.asarray(image.convert("L"))[..., None], 3, -1)
    assert np.array_equal(read_photo(white_is_zero), expected)


def test_inks(tmp_path: Path) -> None:
    inks = Image.fromarray(SCENE).convert("CMYK")
    path = tiff(tmp_path, inks)
    assert np.array_equal(read_photo(path), np.asarray(inks.convert("RGB")))


def test_16_bits(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    for pixels in (DEEP, DEEP[..., 0]):
        path.write_bytes(imagecodecs.tiff_encode(pixels))
        decoded = decode_tiff(path.read_bytes()).pixels
        assert np.array_equal(decoded, pixels.reshape(decoded.shape))
    path.write_bytes(imagecodecs.tiff_encode(DEEP))
    assert np.array_equal(read_photo(path), np.rint(DEEP / 257))


def test_transparency(tmp_path: Path) -> None:
    photo = Image.fromarray(SCENE)
    photo.putalpha(Image.fromarray(np.full(SCENE.shape[:2], 51, np.uint8)))
    assert np.array_equal(read_photo(tiff(tmp_path, photo)), np.rint(SCENE * 51.0 / 255))
    # Associated: the colours are over black already.
    path = tmp_path / "photo.tif"
    entry = struct.Struct("<HHIHH")
    data = path.read_bytes()
    assert data.count(entry.pack(338, 3, 1, 2, 0)) == 1
    path.write_bytes(data.replace(entry.pack(338, 3, 1, 2, 0), entry.pack(338, 3, 1, 1, 0)))
    assert np.array_equal(read_photo(path), SCENE)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: Path, orientation: int) -> None:
    image = Image.fromarray(SCENE)
    path = tiff(tmp_path, image, tiffinfo={274: orientation})
    image.getexif()[0x0112] = orientation
    assert np.array_equal(read_photo(path), np.asarray(ImageOps.exif_transpose(image)))


def test_colours(tmp_path: Path) -> None:
    path = tiff(tmp_path, Image.fromarray(SCENE), icc_profile=gamuts.P3.profile)
    read = read_wide_photo(path)
    assert read.gamut is gamuts.P3 and np.array_equal(read.pixels, SCENE)
    lab = ImageCms.profileToProfile(
        Image.fromarray(SCENE),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    with pytest.raises(PhotoError, match="other colours than RGB or CMYK"):
        read_photo(tiff(tmp_path, lab))


def test_what_is_refused_is_told(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    path.write_bytes(imagecodecs.tiff_encode(DEEP.astype(np.float32)))
    with pytest.raises(PhotoError, match="floats"):
        read_photo(path)
    with pytest.raises(PhotoError, match="of 1 bits"):
        read_photo(tiff(tmp_path, Image.fromarray(SCENE).convert("1")))
    with pytest.raises(PhotoError, match="camera's raw picture"):
        read_photo(tiff(tmp_path, Image.fromarray(SCENE), tiffinfo={50706: b"\1\4\0\0"}))


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    path = tiff(tmp_path, Image.fromarray(SCENE), compression="tiff_lzw")
    data = path.read_bytes()
    for length in (6, 12, len(data) // 2, len(data) - 10):
        path.write_bytes(data[:length])
        with pytest.raises(PhotoError, match="truncated or damaged"):
            read_photo(path)
