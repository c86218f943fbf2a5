"""HEIC, made by another encoder (tests/support/make_heic_files.py), and AVIF by two."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from picture_files import BT2020, D65, P3, by_formula, scene, srgb_profile
from PIL import Image, ImageCms, ImageOps

from compile.imaging import gamuts
from compile.imaging.decode_heif import decode_heif, heif_exif
from compile.imaging.decoded_photo import GAIN_MAP_IGNORED, DamagedFileError
from compile.imaging.heif_items import read_heif_items
from compile.imaging.read_photo import read_photo, read_wide_photo
from compile.support.errors import PhotoError

HEIC = Path(__file__).with_name("heic")
SIZE = (40, 56)
SCENE = scene(*SIZE).astype(int)
UPRIGHT = {
    orientation: np.asarray(ImageOps.exif_transpose(image)).astype(int)
    for orientation, image in (
        (orientation, Image.fromarray(SCENE.astype(np.uint8))) for orientation in range(1, 9)
    )
    if image.getexif().__setitem__(0x0112, orientation) is None
}


def avif(**options: object) -> bytes:
    stream = io.BytesIO()
    options = {"quality": 95, "subsampling": "4:4:4", **options}
    Image.fromarray(SCENE.astype(np.uint8)).save(stream, "AVIF", **options)
    return stream.getvalue()


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "photo.heic"
    path.write_bytes(data)
    return path


def test_rgb() -> None:
    for name, most in (("rgb", 3), ("small-chroma", 9)):
        assert np.abs(read_photo(HEIC / f"{name}.heic") - SCENE).max() <= most


def test_grey_and_transparency() -> None:
    luma = SCENE @ [0.299, 0.587, 0.114]
    assert np.abs(read_photo(HEIC / "grey.heic") - luma[..., None]).max() <= 4
    assert np.abs(read_photo(HEIC / "alpha.heic") - SCENE * 128 / 255).max() <= 3


@pytest.mark.parametrize("depth", [10, 12])
def test_depth_is_kept(depth: int) -> None:
    expected = SCENE / 255 * 65535 * np.linspace(0.5, 1, SIZE[1])[:, None]
    pixels = decode_heif((HEIC / f"deep-{depth}.heic").read_bytes()).pixels
    assert pixels.dtype == np.uint16
    assert np.abs(pixels - expected).max() <= 3 * 65535 / (2**depth - 1)
    codes = np.rint(scene(*SIZE) / 255 * (2**depth - 1)).astype(np.uint16)
    data = bytes(imagecodecs.avif_encode(codes, level=100, bitspersample=depth, pixelformat="444"))
    pixels = decode_heif(data).pixels
    assert pixels.max() == 65535 and pixels.min() == 0
    assert np.abs(pixels / 65535 - codes / (2**depth - 1)).max() <= 3 / (2**depth - 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_once(tmp_path: Path, orientation: int) -> None:
    """HEIC's properties are libheif's to apply, AVIF's are ours; EXIF says it a second time."""
    expected = UPRIGHT[orientation]
    assert np.abs(read_photo(HEIC / f"turned-{orientation}.heic") - expected).max() <= 3
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = written(tmp_path, avif(exif=exif))  # Pillow makes properties of it.
    assert np.abs(read_photo(path) - expected).max() <= 4


def test_colours(tmp_path: Path) -> None:
    read = read_wide_photo(HEIC / "codes-p3.heic")
    assert read.gamut is gamuts.P3 and np.abs(read.pixels - SCENE).max() <= 3
    srgb = by_formula(read.pixels, D65, P3, None)
    assert np.abs(read_photo(HEIC / "codes-p3.heic") - srgb).max() <= 1
    p3 = ImageCms.ImageCmsProfile(io.BytesIO(gamuts.P3.profile)).tobytes()
    for profile, gamut in ((p3, gamuts.P3), (srgb_profile(), gamuts.SRGB)):
        # The codes beside the profile say sRGB: the profile counts.
        read = read_wide_photo(written(tmp_path, avif(icc_profile=profile)))
        assert read.gamut is gamut and np.abs(read.pixels - SCENE).max() <= 4
    codes = np.rint(SCENE / 255 * 1023).astype(np.uint16)
    options = {"bitspersample": 10, "pixelformat": "444", "matrix": 9, "level": 95}
    wide = imagecodecs.avif_encode(codes, primaries=9, transfer=13, **options)
    path = written(tmp_path, bytes(wide))
    assert read_wide_photo(path).gamut is gamuts.BT2020
    assert np.abs(read_photo(path) - by_formula(SCENE, D65, BT2020, None)).mean() <= 2
    pq = written(
        tmp_path, bytes(imagecodecs.avif_encode(codes, primaries=9, transfer=16, **options))
    )
    for path in (HEIC / "pq.heic", pq):
        with pytest.raises(PhotoError, match="HDR already .PQ, by its colour codes"):
            read_photo(path)


def test_exif() -> None:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + heif_exif((HEIC / "turned-6.heic").read_bytes()))
    assert exif[0x010F] == "Camera"
    exif[0x010F] = "Other"
    other = Image.Exif()
    other.load(b"Exif\0\0" + heif_exif(avif(exif=exif)))
    assert other[0x010F] == "Other"
    assert heif_exif(avif()) is None


def test_a_gain_map_is_told() -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    data = avif(exif=exif)
    assert decode_heif(data).warnings == ()
    # An item of ISO 21496-1 in place of EXIF's.
    assert decode_heif(data.replace(b"Exif", b"tmap", 1)).warnings == (GAIN_MAP_IGNORED,)
    data = (HEIC / "alpha.heic").read_bytes()
    assert decode_heif(data).warnings == ()
    assert decode_heif(_with_apples_map(data)).warnings == (GAIN_MAP_IGNORED,)


def _with_apples_map(data: bytes) -> bytes:
    """``data`` whose other picture is what Apple calls a gain map, and no alpha."""
    name, apples = b"urn:mpeg:hevc:2015:auxid:1", b"urn:com:apple:photo:2020:aux:hdrgainmap"
    assert data.count(name) == 1
    growth = len(apples) - len(name)
    longer = data.replace(name, apples)
    for box in (b"meta", b"iprp", b"ipco", b"auxC"):
        at = data.index(box) - 4
        (length,) = struct.unpack_from(">I", data, at)
        longer = longer[:at] + struct.pack(">I", length + growth) + longer[at + 4 :]
    for item in read_heif_items(data).items.values():
        for offset, _ in item.extents:
            place = struct.pack(">I", offset)
            assert data.count(place) == 1
            longer = longer.replace(place, struct.pack(">I", offset + growth))
    return longer


@pytest.mark.parametrize("kind", ["heic", "avif"])
def test_damage_is_one_sentence(tmp_path: Path, kind: str) -> None:
    data = (HEIC / "rgb.heic").read_bytes() if kind == "heic" else avif()
    for length in (13, 30, 150, len(data) // 2, len(data) - 1):
        with pytest.raises(PhotoError, match="truncated or damaged"):
            read_photo(written(tmp_path, data[:length]))
    at = data.index(b"ispe") + 8
    small = data[:at] + struct.pack(">II", 1 << 30, 1 << 30) + data[at + 8 :]
    with pytest.raises(PhotoError, match="GB of memory"):
        read_photo(written(tmp_path, small))
    with pytest.raises(DamagedFileError):
        decode_heif(data[: data.index(b"iloc")])
