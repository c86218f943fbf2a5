"""Every way to name a colour space ends in the sRGB values that it stands for.

Right values come from littlecms through Pillow's ImageCms, or from the formulas of the standards
in NumPy (tests/support/picture_files.py); the module itself uses imagecodecs.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import (
    ADOBE,
    D65,
    P3,
    SRGB,
    by_formula,
    gama,
    iccp,
    jpeg,
    png,
    scene,
    srgb_of_light,
    srgb_profile,
)
from PIL import Image, ImageCms

from compile.imaging.read_photo import read_photo

PALETTE = scene(64, 64)


def linear_profile() -> bytes:
    """sRGB's, name and all, but with the curve v ** 1: a parametric curve of type 0."""
    profile = bytearray(srgb_profile())
    curve = profile.find(b"para")
    profile[curve + 8 : curve + 10] = b"\0\0"
    profile[curve + 12 : curve + 16] = struct.pack(">I", 0x10000)
    return bytes(profile)


def profile_of(
    primaries: tuple[float, ...], white: tuple[float, float] = D65, gamma: float = 2.2
) -> bytes:
    return imagecodecs.cms_profile("rgb", whitepoint=white, primaries=primaries, gamma=gamma)


def grey_profile(gamma: float) -> bytes:
    return imagecodecs.cms_profile("gray", whitepoint=D65, gamma=gamma)


def read(tmp_path: Path, data: bytes) -> NDArray[np.int64]:
    path = tmp_path / "photo"
    path.write_bytes(data)
    return read_photo(path).astype(int)


def by_littlecms(image: Image.Image, profile: bytes) -> NDArray[np.int64]:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    target = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    converted = ImageCms.profileToProfile(
        image, source, target, renderingIntent=intent, outputMode="RGB"
    )
    return np.asarray(converted).astype(int)


# ICC profiles


@pytest.mark.parametrize(
    "profile",
    [
        linear_profile(),
        profile_of(SRGB, gamma=1.8),
        profile_of(P3),
        profile_of(ADOBE, gamma=563 / 256),
    ],
    ids=["linear", "gamma 1.8", "P3", "Adobe RGB"],
)
@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_profile_counts_by_what_it_does(tmp_path: Path, profile: bytes, ending: str) -> None:
    """Whatever its name: all are called sRGB, in the chunk or by their description."""
    if ending == "png":
        data, image = png(PALETTE, iccp(profile)), Image.fromarray(PALETTE)
    else:
        data = jpeg(PALETTE, icc_profile=profile)
        image = Image.open(io.BytesIO(data))
    assert np.abs(read(tmp_path, data) - by_littlecms(image, profile)).max() <= 1


def test_a_linear_profile_called_srgb(tmp_path: Path) -> None:
    """IEC 61966-2-1: half of the light is the value 188."""
    grey = np.full((64, 64, 3), 128, np.uint8)
    assert (read(tmp_path, png(grey, iccp(linear_profile()))) == 188).all()


@pytest.mark.parametrize("name", ["sRGB", "mine"])
def test_a_profile_that_does_nothing_changes_nothing(tmp_path: Path, name: str) -> None:
    renamed = srgb_profile().replace("sRGB".encode("utf-16-be"), name.encode("utf-16-be"))
    np.testing.assert_array_equal(read(tmp_path, png(PALETTE, iccp(renamed))), PALETTE)
    grey = PALETTE[..., :1]
    np.testing.assert_array_equal(read(tmp_path, png(grey, iccp(renamed))), np.repeat(grey, 3, -1))


@pytest.mark.parametrize("gamma", [1.0, 1.8])
@pytest.mark.parametrize("kind", ["rgb", "gray"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_a_grey_picture_takes_a_profile_of_grey_and_of_rgb(
    tmp_path: Path, gamma: float, kind: str, depth: int, alpha: bool
) -> None:
    """The latter is what a conversion to grey leaves in the file."""
    profile = profile_of(SRGB, gamma=gamma) if kind == "rgb" else grey_profile(gamma)
    values = np.arange(64 * 64).reshape(64, 64, 1) % 256
    values = values.astype(np.uint8) if depth == 8 else values.astype(np.uint16) * 257
    if alpha:
        values = np.dstack([values, np.full_like(values, np.iinfo(values.dtype).max)])
    photo = read(tmp_path, png(values, iccp(profile)))
    right = srgb_of_light((values[..., :1] / np.iinfo(values.dtype).max) ** gamma)
    assert np.abs(photo - right).max() < 0.6


def test_a_grey_jpeg_with_a_profile_of_rgb(tmp_path: Path) -> None:
    profile = profile_of(P3, gamma=1.8)
    data = jpeg(PALETTE, mode="L", icc_profile=profile)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    assert np.abs(read(tmp_path, data) - by_littlecms(image, profile)).max() <= 1


def test_a_profile_of_grey_in_a_palette_of_greys(tmp_path: Path) -> None:
    image = Image.fromarray(np.repeat(PALETTE[..., :1], 3, -1)).convert("P")
    image.save(tmp_path / "photo.png", icc_profile=grey_profile(1.0))
    shades = np.asarray(image.convert("RGB"))
    assert (shades == shades[..., :1]).all()
    photo = read_photo(tmp_path / "photo.png")
    assert np.abs(photo - srgb_of_light(shades / 255)).max() < 0.6


@pytest.mark.parametrize("kind", ["gray", "LAB", "broken", "CMYK"])
def test_a_profile_for_another_picture_is_said_and_ignored(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And the next source of colour is asked: gAMA, here of linear light."""
    profile = {
        "gray": grey_profile(1.0),
        "LAB": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        "broken": b"nonsense" * 40,
        "CMYK": cmyk_profile(),
    }[kind]
    assert (read(tmp_path, png(PALETTE, iccp(profile))) == PALETTE).all()
    assert "ICC profile is unusable" in caplog.text
    photo = read(tmp_path, png(PALETTE, iccp(profile), gama(1.0)))
    assert np.abs(photo - srgb_of_light(PALETTE / 255)).max() < 0.6


def cmyk_profile() -> bytes:
    """A small ICC profile of CMYK (ICC.1:2022, 10.11, lut8Type): two steps of each ink to Lab."""
    inks = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), -1).reshape(-1, 4)
    cyan, magenta, yellow, black = inks.T
    lightness = (1 - 0.4 * cyan - 0.3 * magenta - 0.1 * yellow) * (1 - black)
    red_green, yellow_blue = 60 * (magenta - cyan) * (1 - black), 70 * (yellow - cyan) * (1 - black)
    lab = np.stack([lightness * 255, 128 + red_green, 128 + yellow_blue], -1)
    ramp = bytes(range(256))
    table = (
        b"mft1\0\0\0\0\x04\x03\x02\0"
        + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
        + ramp * 4
        + np.clip(np.rint(lab), 0, 255).astype(np.uint8).tobytes()
        + ramp * 3
    )
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    start = 128 + 4 + 2 * 12
    tags = struct.pack(">I", 2)
    tags += struct.pack(">4sII", b"A2B0", start + 20, len(table))
    tags += struct.pack(">4sII", b"wtpt", start, 20)
    body = tags + white + table
    head = bytearray(128)
    head[0:4] = struct.pack(">I", 128 + len(body))
    head[8:24] = b"\x02\x40\0\0prtrCMYKLab "
    head[36:40] = b"acsp"
    head[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    return bytes(head) + body


def test_a_cmyk_picture_with_its_profile(tmp_path: Path) -> None:
    data = jpeg(PALETTE, mode="CMYK", icc_profile=cmyk_profile())
    image = Image.open(io.BytesIO(data))
    right = by_littlecms(image, cmyk_profile())
    assert np.abs(read(tmp_path, data) - right).max() <= 1
    assert np.abs(right - np.asarray(image.convert("RGB"))).max() > 30  # it does something


# 16 bits


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_go_through_the_conversion(tmp_path: Path, channels: int) -> None:
    """In 8 bits the darkest 1/64 of linear light would have 5 values."""
    ramp = np.linspace(0, 1023, 64 * 64).round().astype(np.uint16).reshape(64, 64, 1)
    pixels = np.repeat(ramp, channels, -1)
    if channels == 4:
        pixels[..., 3] = 65535
    right = srgb_of_light(ramp / 65535)
    for colours in (gama(1.0), iccp(linear_profile())):
        photo = read(tmp_path, png(pixels, colours))
        assert np.abs(photo - right).max() < 0.6
        assert len(np.unique(photo)) == len(np.unique(right.round()))


def test_sixteen_bits_of_wide_colours(tmp_path: Path) -> None:
    wide = PALETTE.astype(np.uint16) * 257
    photo = read(tmp_path, png(wide, iccp(profile_of(P3, gamma=1.8))))
    assert np.abs(photo - by_formula(PALETTE, D65, P3, 1.8)).max() < 1
