"""Every kind of file says what it is and holds the light that was written."""

from __future__ import annotations

import errno
import io
import os
import re
import struct
from pathlib import Path
from typing import Literal

import imagecodecs
import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import BT2020, D65, P3, jpeg, scene, srgb_of_light, to_bt709
from PIL import Image

from compile.imaging import gamuts
from compile.imaging.base_photo import BasePhoto
from compile.imaging.compare import side_by_side
from compile.imaging.metrics import psnr
from compile.imaging.read_photo import read_photo, read_wide_photo
from compile.imaging.tone_map import to_srgb8, tone_map
from compile.imaging.transfer import hlg_decode, hlg_encode, pq_decode, pq_encode
from compile.imaging.write_hdr import HdrOptions, check_ending, write_hdr
from compile.support.errors import OutputError, PhotoError

# ITU-R BT.2087-0, M2
BT709_TO_BT2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]], np.float32
)


def highlights(height: int, width: int) -> np.ndarray:
    """Smooth light from 0 to 16: float32 [height, width, 3]."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([16 * x**3, 4 * y**2, 1 - x], -1).astype(np.float32)


def box(data: bytes, name: bytes) -> bytes:
    """Body of the first ISO BMFF box of this name; boxes are found by their length and name."""
    at = data.index(name) - 4
    (length,) = struct.unpack_from(">I", data, at)
    return data[at + 8 : at + length]


@pytest.mark.parametrize("size", [(45, 67), (250, 333), (32, 33)])
def test_avif(tmp_path: Path, size: tuple[int, int]) -> None:
    linear = highlights(*size)
    path = tmp_path / "out.AVIF"
    write_hdr(path, linear)
    data = path.read_bytes()

    colour = box(data, b"colr")
    assert colour[:4] == b"nclx"
    assert struct.unpack(">HHHB", colour[4:11]) == (9, 16, 9, 0x80)  # top bit: full range
    assert box(data, b"pixi")[4:] == bytes([3, 10, 10, 10])
    profile_depth_chroma = box(data, b"av1C")[1:3]
    assert profile_depth_chroma[0] >> 5 == 1  # High profile: 4:4:4
    assert profile_depth_chroma[1] & 0b0111_1100 == 0b0100_0000  # 10 bit, colour, no subsampling

    codes = imagecodecs.avif_decode(data)
    assert codes.dtype == np.uint16 and codes.shape == linear.shape
    assert codes.max() > 255  # really more than 8 bits
    expected = pq_encode(linear @ BT709_TO_BT2020.T * 203)
    assert psnr(codes / 1023, expected) > 45
    light = pq_decode(codes / 1023) / 203 @ np.linalg.inv(BT709_TO_BT2020).T
    bright = linear.min(-1) > 0.2
    assert np.median(np.abs(light / np.maximum(linear, 1e-3) - 1)[bright]) < 0.03


def test_light_of_p3_stays_wide(tmp_path: Path) -> None:
    """In BT.2020, by the formula in NumPy; in EXR as it is; the preview is sRGB's."""
    linear = np.full((40, 56, 3), [0.9, 0.02, 0.02], np.float32)
    linear[:10] = [0.1, 0.8, 0.1]
    from_p3 = np.linalg.inv(to_bt709(D65, BT2020)) @ to_bt709(D65, P3)
    for name in ("out.avif", "out.exr", "out.png", "out.jpg"):
        write_hdr(tmp_path / name, linear, HdrOptions(gamut=gamuts.P3))
    codes = imagecodecs.avif_decode((tmp_path / "out.avif").read_bytes())
    light = pq_decode(codes / 1023) / 203
    np.testing.assert_allclose(light, linear @ from_p3.T, rtol=0.08, atol=0.01)
    # More red than sRGB has.
    assert (light[20:] @ to_bt709(D65, BT2020).T)[..., 1].max() < -0.005
    header = OpenEXR.File(str(tmp_path / "out.exr")).header()
    assert np.allclose(header["chromaticities"], (*P3, *D65))
    expected = srgb_of_light(linear @ to_bt709(D65, P3).T)
    with Image.open(tmp_path / "out.png") as image:
        assert np.abs(np.asarray(image) - expected).max() <= 1
    read = read_wide_photo(tmp_path / "out.jpg")
    assert read.gamut is gamuts.P3
    assert np.abs(read.pixels - srgb_of_light(linear)).max() <= 4


def test_a_base_of_p3_is_kept(tmp_path: Path) -> None:
    """With its profile; without one it would be taken for sRGB."""
    photo = scene(40, 56)
    light = np.full((40, 56, 3), 2, np.float32)
    for options, is_kept in (({"icc_profile": gamuts.P3.profile}, True), ({}, False)):
        path, data = tmp_path / "out.jpg", jpeg(photo, **options)
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        write_hdr(path, light, HdrOptions(photo=BasePhoto(pixels, data), gamut=gamuts.P3))
        scan = data[data.index(b"\xff\xda") :]
        assert (scan in path.read_bytes()) is is_kept
        assert read_wide_photo(path).gamut is gamuts.P3


def test_avif_says_how_bright_it_is(tmp_path: Path) -> None:
    """CTA-861.3, and ISO/IEC 23008-12's property of the only item."""
    linear = np.full((40, 56, 3), 0.5, np.float32)
    linear[:10] = 4
    exif = Image.Exif()
    exif[0x010F] = "Mira"
    for options in (HdrOptions(), HdrOptions(exif=exif), HdrOptions(transfer="hlg")):
        path = tmp_path / "out.avif"
        write_hdr(path, linear, options)
        data = path.read_bytes()
        assert struct.unpack(">HH", box(data, b"clli")) == (4 * 203, round((4 + 1.5) / 4 * 203))
        properties = box(data, b"ipco")
        place = 1 + len(re.findall(rb"ispe|pixi|av1C|colr", properties.partition(b"clli")[0]))
        assert box(data, b"ipma")[-1] == place
        assert struct.unpack(">H", box(data, b"colr")[6:8]) == (18 if options.transfer else 16,)
        assert imagecodecs.avif_decode(data).shape == linear.shape


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_hdr_png(tmp_path: Path, transfer: Literal["pq", "hlg"]) -> None:
    linear = highlights(45, 67)
    exif = Image.Exif()
    exif[0x010F] = "Mira"
    path = tmp_path / "out.png"
    write_hdr(path, linear, HdrOptions(transfer=transfer, exif=exif))
    codes = imagecodecs.png_decode(path.read_bytes())
    assert codes.dtype == np.uint16 and codes.shape == linear.shape
    if transfer == "pq":
        light = pq_decode(codes / 65535) / 203 @ np.linalg.inv(BT709_TO_BT2020).T
        np.testing.assert_allclose(light, linear, rtol=1e-3, atol=1e-3)
    with Image.open(path) as image:
        assert image.getexif()[0x010F] == "Mira"
    with pytest.raises(PhotoError, match=f"HDR already .{transfer.upper()}, by its cICP"):
        read_photo(path)
    data = path.read_bytes()
    most, mean = struct.unpack(">II", data[data.index(b"cLLI") + 4 :][:8])
    assert most == 10_000 * round((linear @ BT709_TO_BT2020.T).max() * 203) and mean < most


@pytest.mark.parametrize("transfer", [None, "pq", "hlg"])
def test_jxl(tmp_path: Path, transfer: Literal["pq", "hlg"] | None) -> None:
    linear = highlights(45, 67)
    exif = Image.Exif()
    exif[0x010F] = "Mira"
    path = tmp_path / "out.jxl"
    write_hdr(path, linear, HdrOptions(transfer=transfer, exif=exif))
    codes = imagecodecs.jpegxl_decode(path.read_bytes())
    assert codes.dtype == np.uint16 and codes.shape == linear.shape
    if transfer != "hlg":
        light = pq_decode(codes / 4095) / 203 @ np.linalg.inv(BT709_TO_BT2020).T
        np.testing.assert_allclose(light, linear, rtol=0.02, atol=0.01)
    with pytest.raises(PhotoError, match=f"HDR already .{(transfer or 'pq').upper()}, by its head"):
        read_photo(path)


def test_hlg_is_that_of_the_standard() -> None:
    """ITU-R BT.2408-7, table 1: white is at 75 %, a grey card of 26 cd/m2 at 38 %; BT.2100's
    peak."""
    nits = np.float32([[26, 26, 26], [203, 203, 203], [1000, 1000, 1000], [4000, 4000, 4000]])
    np.testing.assert_allclose(hlg_encode(nits)[:, 1], [0.38, 0.75, 1, 1], atol=0.005)


@given(st.lists(st.floats(0, 1000), min_size=3, max_size=3))
def test_hlg_and_back(nits: list[float]) -> None:
    """By the OOTF of a display of 1000 cd/m2: gamma 1.2."""
    light = np.float32(nits)
    scene = hlg_decode(hlg_encode(light))
    if scene.max() < 1:  # Saturated colours are clipped by the scene's light.
        shown = 1000 * (scene @ [0.2627, 0.6780, 0.0593]) ** 0.2 * scene
        np.testing.assert_allclose(shown, light, rtol=1e-3, atol=0.02)


def test_exr(tmp_path: Path) -> None:
    linear = highlights(45, 67)
    write_hdr(tmp_path / "out.exr", linear)
    with OpenEXR.File(str(tmp_path / "out.exr")) as file:
        header, pixels = dict(file.header()), file.channels()["RGB"].pixels
    assert pixels.dtype == np.float16
    np.testing.assert_array_equal(pixels, linear.astype(np.float16))
    assert header["compression"] == OpenEXR.ZIP_COMPRESSION
    assert header["whiteLuminance"] == 203
    np.testing.assert_allclose(
        header["chromaticities"], [0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290], atol=1e-6
    )


def test_png_is_the_tone_mapped_picture(tmp_path: Path) -> None:
    linear = highlights(45, 67)
    write_hdr(tmp_path / "out.png", linear)
    with Image.open(tmp_path / "out.png") as image:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), tone_map(linear))


def test_tone_map_leaves_ldr_alone() -> None:
    linear = np.clip(highlights(45, 67), 0, 1)
    assert np.abs(tone_map(linear).astype(int) - to_srgb8(linear)).max() <= 1


@given(peak=st.floats(1, 16))
def test_tone_map_is_monotonic_and_uses_the_whole_range(peak: float) -> None:
    ramp = np.linspace(0, peak, 1000, dtype=np.float32)[None, :, None].repeat(3, -1)
    grey = tone_map(ramp)[0, :, 1].astype(int)
    assert (np.diff(grey) >= 0).all()
    assert grey[0] == 0 and grey[-1] >= 254


@pytest.mark.parametrize("name", ["out.gif", "out", "out.avif.txt", "out.hdr"])
def test_unknown_ending_lists_the_known(tmp_path: Path, name: str) -> None:
    for attempt in (check_ending, lambda path: write_hdr(path, highlights(32, 32))):
        with pytest.raises(OutputError, match=r"\.avif, \.jxl, \.exr, \.png") as caught:
            attempt(tmp_path / name)
        assert name in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["avif", "jxl", "exr", "png"])
def test_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("compile.support.atomic.os.fsync", full)
    with pytest.raises(OutputError, match="no space left on device"):
        write_hdr(tmp_path / f"out.{ending}", highlights(45, 67))
    assert not list(tmp_path.iterdir())


def test_what_is_no_light_is_no_file(tmp_path: Path) -> None:
    linear = highlights(32, 32)
    for wrong in (linear[..., :2], linear[..., 0]):
        with pytest.raises(ValueError):
            write_hdr(tmp_path / "out.exr", wrong)
    for value in (np.nan, np.inf):
        linear[3, 4, 1] = value  # As of a network that takes the logarithm of black.
        with pytest.raises(OutputError, match=r"out\.exr .*not finite; \.npz"):
            write_hdr(tmp_path / "out.exr", linear)
    assert not list(tmp_path.iterdir())


def test_side_by_side(tmp_path: Path) -> None:
    linear = highlights(300, 451)
    side_by_side(to_srgb8(highlights(600, 902)), linear, tmp_path / "pair.png")
    with Image.open(tmp_path / "pair.png") as sheet:
        assert sheet.width > 3 * 451 and sheet.height > 2 * 300
