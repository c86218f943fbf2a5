"""JPEG files of every kind: what EXIF says of their colours, and whether they are whole."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import jpeg, light_of_srgb, scene, srgb_of_light, to_bt709
from PIL import Image, ImageCms

from compile.imaging.bundled import bundled_photos
from compile.imaging.decode_jpeg import decode_jpeg
from compile.imaging.read_photo import read_photo
from compile.support.errors import PhotoError

END = b"\xff\xd9"
KINDS = {
    "baseline": jpeg(),
    "progressive": jpeg(progressive=True),
    "grey": jpeg(mode="L"),
    "CMYK": jpeg(mode="CMYK"),
    "restarts": jpeg(restart_marker_blocks=7),
    "4:4:4": jpeg(subsampling=0),
    "thumbnail": jpeg(exif=b"Exif\0\0II*\0\0\0\0\0" + jpeg(scene(40, 40))),
    "several": b"",
}
_stream = io.BytesIO()
Image.fromarray(scene(200, 301)).save(
    _stream, "MPO", save_all=True, append_images=[Image.new("RGB", (301, 200))], quality=90
)
KINDS["several"] = _stream.getvalue()


@pytest.fixture(params=KINDS)
def data(request: pytest.FixtureRequest) -> bytes:
    return KINDS[request.param]


def read(tmp_path: Path, data: bytes) -> NDArray[np.uint8]:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    return read_photo(path)


def refused(tmp_path: Path, data: bytes, words: str = "truncated or damaged") -> None:
    with pytest.raises(PhotoError, match=words):
        read(tmp_path, data)


def first_picture(data: bytes) -> bytes:
    """Without the second one of a file of several."""
    second = data.find(END + b"\xff\xd8")
    return data if second < 0 else data[: second + 2]


# Whole


def test_a_jpeg_is_what_pillow_decodes(tmp_path: Path, data: bytes) -> None:
    right = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(read(tmp_path, data), right)


@pytest.mark.parametrize("stray", [b"\0", b"\0" * 100, b"\xff" * 5, b"stray bytes", b"\xff\0"])
def test_stray_bytes_between_segments(tmp_path: Path, data: bytes, stray: bytes) -> None:
    """ITU-T T.81, B.1.1.2, allows fill bytes FF; decoders step over any."""
    right = read(tmp_path, data)
    for marker in (b"\xff\xdb", b"\xff\xc4", b"\xff\xda"):
        at = data.rindex(marker, 0, len(first_picture(data)))
        odd = data[:at] + stray + data[at:]
        np.testing.assert_array_equal(read(tmp_path, odd), right)


def test_bytes_before_and_behind_the_end_marker(tmp_path: Path, data: bytes) -> None:
    right = read(tmp_path, data)
    one = first_picture(data)
    for odd in (one[:-2] + bytes(9) + END, one + bytes(5000), one + b"<html>", one + one):
        np.testing.assert_array_equal(read(tmp_path, odd), right)


def test_comments_and_applications_segments_of_any_size(tmp_path: Path, data: bytes) -> None:
    full = b"\xff\xfe\xff\xff" + b"c" * 65533
    odd = data[:2] + full * 40 + b"\xff\xed\0\2" + data[2:]
    np.testing.assert_array_equal(read(tmp_path, odd), read(tmp_path, data))


@pytest.mark.parametrize("path", bundled_photos("test") + bundled_photos("calibration"))
def test_photographs_are_whole(tmp_path: Path, path: Path) -> None:
    right = read_photo(path)
    if path.suffix == ".jpg":
        np.testing.assert_array_equal(read(tmp_path, path.read_bytes() + bytes(99)), right)


# Damaged


@pytest.mark.parametrize("share", [0.4, 0.5, 0.7, 0.9, 0.99])
def test_an_end_marker_does_not_make_a_picture_whole(
    tmp_path: Path, data: bytes, share: float
) -> None:
    one = first_picture(data)
    start = one.rindex(b"\xff\xda") + 20
    cut = one[: start + int((len(one) - start) * share)]
    refused(tmp_path, cut)
    refused(tmp_path, cut + END)
    refused(tmp_path, cut + bytes(len(one) - len(cut)))
    refused(tmp_path, cut + bytes(len(one) - len(cut)) + END)


def test_a_photograph_with_an_end_marker_glued_on(tmp_path: Path) -> None:
    whole = bundled_photos("demo")[0].read_bytes()
    for share in (0.2, 0.6, 0.95):
        refused(tmp_path, whole[: int(len(whole) * share)] + END)


def test_without_its_end_marker(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path, first_picture(data)[:-2])


# By `cjpeg -scans`: coefficients in three scans, and red, green and blue in one each.
BY_COEFFICIENTS = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb0043001b12141714111b1716171e1c1b2028422b"
    "28252528513a3d3042605565645f555d5b6a7899816a7190735b5d85b586909ea3abadab6780bcc9baa6"
    "c799a8aba4ffc2000b080020002001011100ffc4001500010100000000000000000000000000000405ff"
    "da000801010000000082c6321318c86b6321b16cffc40016100003000000000000000000000000000000"
    "0203ffda000801010001050092124248490921242484909212424849092124248490ffc4001410010000"
    "0000000000000000000000000040ffda0008010100063f0007ffd9"
)
BY_COLOURS = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb0043001b12141714111b1716171e1c1b2028422b"
    "28252528513a3d3042605565645f555d5b6a7899816a7190735b5d85b586909ea3abadab6780bcc9baa6"
    "c799a8aba4ffdb0043011c1e1e2823284e2b2b4ea46e5d6ea4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4"
    "a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4ffc00011080020002003"
    "012200021101031101ffc4001500010100000000000000000000000000000305ffc40016100003000000"
    "0000000000000000000000000203ffda0008010100003f008ab3156632cc65982b319662acc65982b319"
    "662acc65982b319662acc6599fffc4001501010100000000000000000000000000000304ffc400151101"
    "0100000000000000000000000000000200ffda0008010211003f00a93853853813bfffc4001601010101"
    "00000000000000000000000000050206ffc4001511010100000000000000000000000000000300ffda00"
    "08010311003f009249324b3a4924497fffd9"
)


@pytest.mark.parametrize("data", [KINDS["progressive"], BY_COEFFICIENTS, BY_COLOURS])
def test_missing_scans_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    """djpeg takes such a file for whole, too; T.81 does not ask for all of them."""
    read(tmp_path, data)
    for path in bundled_photos("test")[:3]:
        read_photo(path)
    assert "scans" not in caplog.text
    starts = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    for before in starts[1:]:
        caplog.clear()
        # The scan's table stands before it.
        end = data.rindex(b"\xff\xc4", 0, before)
        read(tmp_path, data[:end] + END)
        assert "some of its scans are missing" in caplog.text


def test_a_lost_piece(tmp_path: Path) -> None:
    """Between restart markers, which keep what follows readable."""
    whole = KINDS["restarts"]
    first, second = whole.index(b"\xff\xd2"), whole.index(b"\xff\xd4")
    refused(tmp_path, whole[:first] + whole[second:])


@pytest.mark.parametrize(
    ("marker", "depth", "words"),
    [
        (0xC3, 8, "lossless"),
        (0xF7, 8, "lossless"),
        (0xC5, 8, "hierarchical"),
        (0xC1, 12, "12 bits"),
    ],
)
def test_other_kinds_of_jpeg_are_named(tmp_path: Path, marker: int, depth: int, words: str) -> None:
    odd = bytearray(KINDS["baseline"])
    at = odd.index(b"\xff\xc0")
    odd[at + 1], odd[at + 4] = marker, depth
    refused(tmp_path, bytes(odd), words)


def test_a_height_behind_the_pixels(tmp_path: Path) -> None:
    """T.81, B.2.5: a segment DNL tells it; neither djpeg nor Pillow reads such a file."""
    odd = bytearray(KINDS["baseline"])
    at = odd.index(b"\xff\xc0") + 5
    height = bytes(odd[at : at + 2])
    odd[at : at + 2] = bytes(2)
    told = b"\xff\xdc\0\4" + height
    refused(tmp_path, bytes(odd[:-2]) + told + bytes(odd[-2:]), "DNL")


# Colour spaces of EXIF (Exif 2.32, 4.6.5; DCF 2.0 for R03). Right values: the standards' formulas.

ADOBE = ((0.3127, 0.3290), (0.64, 0.33, 0.21, 0.71, 0.15, 0.06), 563 / 256)
WIDE = ((0.3457, 0.3585), (0.7347, 0.2653, 0.1152, 0.8264, 0.1566, 0.0177), 563 / 256)
P3 = ((0.3127, 0.3290), (0.680, 0.320, 0.265, 0.690, 0.150, 0.060), None)


def with_exif(code: int | None, index: str | None = None, **numbers: object) -> bytes:
    """A JPEG whose EXIF names a colour space by its code, by an interoperability index or by
    white, primaries and gamma."""
    exif = Image.Exif()
    details = exif.get_ifd(0x8769)
    if code is not None:
        details[0xA001] = code
    if index is not None:
        details[0xA005] = {1: index}
    if "gamma" in numbers:
        details[0xA500] = numbers["gamma"]
    if "white" in numbers:
        exif[0x013E], exif[0x013F] = numbers["white"], numbers["primaries"]
    return jpeg(scene(64, 64), subsampling=0, exif=exif)


def by_formula(data: bytes, space: tuple) -> NDArray[np.float64]:
    white, primaries, gamma = space
    stored = np.asarray(Image.open(io.BytesIO(data)))
    light = light_of_srgb(stored) if gamma is None else (stored / 255) ** gamma
    return srgb_of_light(light @ to_bt709(white, primaries).T)


@pytest.mark.parametrize(
    ("data", "space"),
    [
        (with_exif(2), ADOBE),
        (with_exif(65535, "R03"), ADOBE),
        (with_exif(None, "R03"), ADOBE),
        (with_exif(0xFFFD), WIDE),
        (with_exif(65535, white=P3[0], primaries=P3[1]), P3),
        (with_exif(65535, white=P3[0], primaries=P3[1], gamma=1.8), (*P3[:2], 1.8)),
        (with_exif(65535, gamma=1.0), ((0.3127, 0.3290), (0.64, 0.33, 0.3, 0.6, 0.15, 0.06), 1.0)),
    ],
)
def test_a_colour_space_of_exif(tmp_path: Path, data: bytes, space: tuple) -> None:
    right = by_formula(data, space)
    photo = read(tmp_path, data)
    assert np.abs(photo - right).max() < 1.5
    assert np.abs(photo - right).mean() < 0.3


@pytest.mark.parametrize("data", [with_exif(1), with_exif(1, "R98"), with_exif(65535, "R98")])
def test_srgb_by_exif(tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    np.testing.assert_array_equal(read(tmp_path, data), np.asarray(Image.open(io.BytesIO(data))))
    assert not caplog.text


def test_a_colour_space_that_is_not_told_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = with_exif(65535)
    np.testing.assert_array_equal(read(tmp_path, data), np.asarray(Image.open(io.BytesIO(data))))
    assert "uncalibrated" in caplog.text and "taken for sRGB" in caplog.text


def test_a_profile_has_precedence_over_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = jpeg(scene(64, 64), exif=exif, icc_profile=srgb)
    np.testing.assert_array_equal(read(tmp_path, data), np.asarray(Image.open(io.BytesIO(data))))


def test_a_profile_that_lacks_a_part_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(70_000)
    data = jpeg(scene(64, 64), icc_profile=profile)
    read(tmp_path, data)
    assert "missing" not in caplog.text
    start = data.find(b"ICC_PROFILE\0\2") - 4
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    read(tmp_path, data[:start] + data[start + 2 + length :])
    assert "ICC profile is unusable (a part of it is missing)" in caplog.text


# Large ones


def test_a_large_picture_is_decoded_smaller() -> None:
    """At no less than what is asked for; the rest is the same picture."""
    pixels = scene(800, 1200)
    data = jpeg(pixels, quality=95)
    for at_least, size in {
        (801, 1): (800, 1200),
        (400, 600): (400, 600),
        (99, 99): (100, 150),
    }.items():
        photo = decode_jpeg(data, at_least).pixels
        assert photo.shape[:2] == size
        step = 800 // size[0]
        mean = pixels.reshape(size[0], step, size[1], step, 3).mean((1, 3))
        assert np.abs(photo - mean).mean() < 1.5


@pytest.mark.parametrize("orientation", [1, 6])
def test_200_megapixels_shrunk(tmp_path: Path, orientation: int) -> None:
    """As phones take them: 16320x12240. Pillow's Image.open refuses 179 and more."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "large.jpg"
    Image.new("L", (16320, 12240), 77).save(path, quality=50, exif=exif)
    photo = read_photo(path, shrink_to=(768, 1280))
    size = (12240 // 4, 16320 // 4)
    assert photo.shape == ((*size, 3) if orientation == 1 else (*size[::-1], 3))
    assert (np.abs(photo.astype(int) - 77) <= 1).all()


def test_a_strip_shrunk_to_less_than_a_pixel(tmp_path: Path) -> None:
    path = tmp_path / "strip.jpg"
    Image.new("RGB", (32, 30_000), "white").save(path)
    assert read_photo(path, shrink_to=(64, 96)).shape[2] == 3


def test_a_header_of_more_pixels_than_the_memory_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compile.imaging.read_photo.free_memory", lambda: 1_000_000_000)
    odd = bytearray(KINDS["baseline"])
    at = odd.index(b"\xff\xc0") + 5
    odd[at : at + 4] = struct.pack(">HH", 60_000, 60_000)
    refused(tmp_path, bytes(odd), "60000x60000 pixels, which need [0-9.]+ GB")
