"""JPEG XL by libjxl's encoder; headers that it does not write, bit by bit."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from picture_files import jpeg, scene, srgb_of_light
from PIL import Image

from compile.imaging import gamuts
from compile.imaging.decode_jxl import decode_jxl, jxl_exif
from compile.imaging.decoded_photo import GAIN_MAP_IGNORED
from compile.imaging.jxl_header import find_frames, read_jxl_header
from compile.imaging.read_photo import read_photo, read_wide_photo
from compile.support.errors import PhotoError

SCENE = scene(45, 67)
DEEP = np.rint(SCENE * 65535.0 / 255).astype(np.uint16)


def jxl(tmp_path: Path, pixels: np.ndarray, **options: object) -> Path:
    path = tmp_path / "photo.jxl"
    path.write_bytes(imagecodecs.jpegxl_encode(pixels, **{"lossless": True, **options}))
    return path


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), name) + body


@pytest.mark.parametrize("bits", [5, 8, 10, 12, 15, 16])
def test_white_is_white_in_any_number_of_bits(bits: int) -> None:
    white = (1 << bits) - 1
    codes = np.linspace(0, white, 45 * 67 * 3).reshape(45, 67, 3)
    stored = np.rint(codes).astype(np.uint8 if bits <= 8 else np.uint16)
    data = bytes(imagecodecs.jpegxl_encode(stored, lossless=True, bitspersample=bits))
    pixels = decode_jxl(data).pixels
    most = np.iinfo(pixels.dtype).max
    assert pixels.dtype == stored.dtype and pixels.max() == most
    assert np.abs(pixels / most - stored / white).max() <= 0.5 / most


@pytest.mark.parametrize("boxed", [False, True])
def test_pixels(tmp_path: Path, boxed: bool) -> None:
    path = jxl(tmp_path, SCENE, usecontainer=boxed)
    assert np.array_equal(read_photo(path), SCENE)
    assert decode_jxl(path.read_bytes()).warnings == ()
    grey = SCENE[..., 0]
    path = jxl(tmp_path, grey, usecontainer=boxed)
    assert np.array_equal(read_photo(path), np.repeat(grey[..., None], 3, -1))
    half = np.dstack([SCENE, np.full(SCENE.shape[:2], 51, np.uint8)])
    assert np.array_equal(read_photo(jxl(tmp_path, half)), np.rint(SCENE * 51.0 / 255))
    lossy = read_photo(jxl(tmp_path, SCENE, lossless=False, distance=0.5)).astype(int)
    assert np.abs(lossy - SCENE).mean() < 3


def test_16_bits(tmp_path: Path) -> None:
    path = jxl(tmp_path, DEEP)
    assert np.array_equal(decode_jxl(path.read_bytes()).pixels, DEEP)
    # Its header says linear light of them.
    expected = srgb_of_light(SCENE / 255)
    assert np.abs(read_photo(path) - expected).max() <= 1


def test_one_that_was_a_jpeg_is_that_again(tmp_path: Path) -> None:
    """With its profile, which no package tells of a JPEG XL file."""
    data = jpeg(icc_profile=gamuts.P3.profile)
    (tmp_path / "photo.jpg").write_bytes(data)
    (tmp_path / "photo.jxl").write_bytes(imagecodecs.jpegxl_encode_jpeg(data, usecontainer=True))
    expected = read_wide_photo(tmp_path / "photo.jpg")
    found = read_wide_photo(tmp_path / "photo.jxl")
    assert found.gamut is expected.gamut is gamuts.P3
    assert np.array_equal(found.pixels, expected.pixels)


def test_boxes(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    tiff = exif.tobytes().removeprefix(b"Exif\0\0")
    data = jxl(tmp_path, SCENE, usecontainer=True).read_bytes()
    assert jxl_exif(data) is None
    assert jxl_exif(data + box(b"Exif", bytes(4) + tiff)) == tiff
    packed = bytes(imagecodecs.brotli_encode(bytes(4) + tiff))
    assert jxl_exif(data + box(b"brob", b"Exif" + packed)) == tiff
    assert decode_jxl(data + box(b"jhgm", b"map")).warnings == (GAIN_MAP_IGNORED,)


class Header:
    """Writes a header, the lowest bits first."""

    def __init__(self) -> None:
        self.bits = ""

    def put(self, value: int, count: int) -> Header:
        self.bits += format(value, f"0{count}b")[::-1]
        return self

    def enum(self, value: int) -> Header:
        """U32(0, 1, 2 + u(4), 18 + u(6))."""
        if value < 2:
            return self.put(value, 2)
        return self.put(2, 2).put(value - 2, 4) if value < 18 else self.put(3, 2).put(value - 18, 6)

    @property
    def data(self) -> bytes:
        count = -(-len(self.bits) // 8)
        return b"\xff\x0a" + int(self.bits[::-1], 2).to_bytes(count, "little")

    def read(self) -> object:
        """The header, behind whose colours more follows."""
        return read_jxl_header(self.data + bytes(8))


def started(ratio: int = 0) -> Header:
    """Up to the colours: 300x200, 12 bits, nothing else of note."""
    header = Header().put(0, 1).put(0, 2).put(199, 9).put(ratio, 3)
    if not ratio:
        header.put(0, 2).put(299, 9)
    return header.put(0, 1).put(0, 1).put(0, 1).put(2, 2).put(0, 1).put(0, 2).put(0, 1)


def test_header_of_colours() -> None:
    p3 = started().put(0, 1).put(0, 1).enum(0).enum(1).enum(11).put(0, 1).enum(13).read()
    assert (p3.height, p3.width, p3.bits, p3.is_float) == (200, 300, 12, False)
    assert p3.primaries == gamuts.P3.primaries and p3.transfer == 13 and p3.gamma is None
    assert started(4).put(1, 1).read().width == 300  # 3:2
    pq = started().put(0, 1).put(0, 1).enum(0).enum(1).enum(9).put(0, 1).enum(16).read()
    assert pq.primaries == gamuts.BT2020.primaries and pq.transfer == 16
    gamma = started().put(0, 1).put(0, 1).enum(1).enum(1).put(1, 1).put(4545455, 24).read()
    assert gamma.gamma == pytest.approx(2.2)
    assert started().put(0, 1).put(1, 1).enum(0).read().has_profile


def test_frames_follow_the_header_of_plain_pictures_alone() -> None:
    data = bytes(imagecodecs.jpegxl_encode(SCENE, lossless=True, usecontainer=False))
    assert 4 < find_frames(data) < 20
    for damaged in (data[:4], b"BM" + data[2:]):
        with pytest.raises(ValueError):
            find_frames(damaged)
    profile = started().put(0, 1).put(1, 1).enum(0).data
    with pytest.raises(ValueError, match="not that of a plain picture"):
        find_frames(profile)


def test_what_is_refused_is_told(tmp_path: Path) -> None:
    path = jxl(tmp_path, SCENE.astype(np.float32) / 255)
    with pytest.raises(PhotoError, match="of floats"):
        read_photo(path)


def test_damage_is_one_sentence(tmp_path: Path) -> None:
    path = jxl(tmp_path, SCENE)
    data = path.read_bytes()
    for length in (3, 20, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(PhotoError, match="truncated or damaged"):
            read_photo(path)
