"""Pictures with a gain map, read by libultrahdr, Pillow and ExifTool's rules."""

from __future__ import annotations

import io
import re
import struct
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import pytest
from brightened_photo import light_of, photograph
from PIL import Image, MpoImagePlugin

from compile.imaging.base_photo import BasePhoto
from compile.imaging.decode_hdr import mu_law
from compile.imaging.gain_map import OFFSET, make_gain_map
from compile.imaging.gain_map_metadata import HDRGM, ISO_NAME, XMP_NAME
from compile.imaging.jpeg_segments import APP1, first_picture, segment, segments
from compile.imaging.metrics import psnr
from compile.imaging.transfer import srgb_decode
from compile.imaging.ultra_hdr import encode_ultra_hdr

XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:'
    b'meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/></rdf:RDF></x:xmpmeta>'
    + b" " * 2000
    + b'<?xpacket end="w"?>'
)


def jpeg_file(pixels: np.ndarray, orientation: int = 1, xmp: bytes = b"") -> bytes:
    """As a camera writes it: progressive, 4:2:0, EXIF with a place, a comment, words behind it."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Mira", orientation
    exif.get_ifd(0x8825)[1] = "N"
    stream = io.BytesIO()
    Image.fromarray(pixels).save(
        stream, "JPEG", quality=88, progressive=True, exif=exif, comment=b"taken by hand"
    )
    data = stream.getvalue()
    if xmp:
        data = data[:2] + segment(APP1, XMP_NAME + xmp) + data[2:]
    return data + b"what a phone leaves at the end"


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def shown(linear: np.ndarray, pixels: np.ndarray, boost: float) -> np.ndarray:
    """What a screen shows that reaches ``boost`` times white: ISO 21496-1."""
    base = srgb_decode(pixels.astype(np.float64) / 255)
    weight = np.clip(np.log2(boost) / make_gain_map(linear, pixels).headroom, 0, 1)
    return (base + OFFSET) * ((linear + OFFSET) / (base + OFFSET)) ** weight - OFFSET


def by_libultrahdr(data: bytes, boost: float) -> np.ndarray:
    return imagecodecs.ultrahdr_decode(data, boost=boost)[..., :3].astype(np.float32)


def without(data: bytes, *names: bytes) -> bytes:
    """``data`` without the segments whose bodies begin so."""
    for part in reversed(list(segments(data))):
        if data[part.start + 4 : part.end].startswith(names):
            data = data[: part.start] + data[part.end :]
    return data


@pytest.mark.parametrize("boost", [1.0, 2.0, 8.0, 16.0])
@pytest.mark.parametrize("is_jpeg", [True, False])
def test_libultrahdr_shows_the_light(boost: float, is_jpeg: bool) -> None:
    pixels = photograph()
    data = jpeg_file(pixels)
    pixels = decoded(data) if is_jpeg else pixels
    linear = light_of(pixels)
    encoded = encode_ultra_hdr(linear, BasePhoto(pixels, data), None, 95, True)
    expected = shown(linear, pixels, boost)
    assert psnr(mu_law(by_libultrahdr(encoded, boost)), mu_law(expected)) > 45


@pytest.mark.parametrize("form", [XMP_NAME, ISO_NAME])
def test_each_form_says_the_same(form: bytes) -> None:
    """A reader that knows one alone shows the same."""
    pixels = photograph(96, 131)
    encoded = encode_ultra_hdr(light_of(pixels), BasePhoto(pixels), None, 90, True)
    base = first_picture(encoded)
    alone = without(base, form) + without(encoded[len(base) :], form)
    assert len(alone) < len(encoded)
    np.testing.assert_allclose(
        by_libultrahdr(alone, 4.0), by_libultrahdr(encoded, 4.0), rtol=0.004, atol=1e-3
    )


def test_the_photographs_own_bytes_are_kept() -> None:
    data = jpeg_file(photograph())
    pixels = decoded(data)
    encoded = encode_ultra_hdr(light_of(pixels), BasePhoto(pixels, data), None, 95, True)
    own = without(first_picture(encoded), XMP_NAME, ISO_NAME, b"MPF\0")
    assert own == first_picture(data) and data.startswith(own)
    assert np.array_equal(decoded(encoded), pixels)


def test_the_index_leads_to_the_map() -> None:
    """By Pillow's reader of the Multi-Picture Format."""
    pixels = photograph()
    linear = light_of(pixels)
    encoded = encode_ultra_hdr(linear, BasePhoto(pixels), None, 95, True)
    with Image.open(io.BytesIO(encoded)) as image:
        image = MpoImagePlugin.MpoImageFile.adopt(image)
        assert image.n_frames == 2
        image.seek(1)
        codes = np.asarray(image)
    gains = make_gain_map(linear, decoded(encoded))
    assert codes.shape == pixels.shape and psnr(codes / 255, gains.codes / 255) > 30


def test_words_of_the_photograph_are_kept_beside() -> None:
    data = jpeg_file(photograph(64, 64), xmp=XMP)
    pixels = decoded(data)
    encoded = encode_ultra_hdr(light_of(pixels), BasePhoto(pixels, data), None, 95, True)
    with Image.open(io.BytesIO(encoded)) as image:
        first, second = next(iter(ElementTree.fromstring(image.info["xmp"])))
        assert "5" in first.attrib.values()
        assert second.attrib[f"{{{HDRGM}}}Version"] == "1.0"
        assert image.info["comment"] == b"taken by hand" and image.getexif()[0x010F] == "Mira"
    length = re.search(rb'Item:Length="(\d+)"', encoded)
    assert length and int(length[1]) == len(encoded) - len(first_picture(encoded))


def test_nothing_is_said_of_it_where_it_may_not_be() -> None:
    data = jpeg_file(photograph(64, 64), xmp=XMP)
    pixels = decoded(data)
    exif = Image.Exif()
    exif[0x0110] = "M 6"
    encoded = encode_ultra_hdr(light_of(pixels), BasePhoto(pixels, data), exif, 95, False)
    with Image.open(io.BytesIO(encoded)) as image:
        assert dict(image.getexif()) == {0x0110: "M 6"} and "comment" not in image.info
    assert b"Rating" not in encoded and np.array_equal(decoded(encoded), pixels)
    nothing = encode_ultra_hdr(light_of(pixels), BasePhoto(pixels, data), None, 95, False)
    assert b"Exif" not in nothing and b"by hand" not in nothing


def test_of_two_maps_there_is_the_new_one() -> None:
    pixels = photograph(64, 64)
    bright = encode_ultra_hdr(light_of(pixels), BasePhoto(pixels), None, 95, True)
    pixels = decoded(bright)
    dark = (srgb_decode(pixels / 255) * 0.5).astype(np.float32)
    again = encode_ultra_hdr(dark, BasePhoto(pixels, bright), None, 95, True)
    assert again.count(b"MPF\0") == 1 and again.count(b"hdrgm:HDRCapacityMax") == 1
    assert psnr(by_libultrahdr(again, 8.0), dark) > 40


@pytest.mark.parametrize("kind", ["turned", "grey", "png"])
def test_other_files_are_no_base(kind: str) -> None:
    pixels = photograph()
    files = {
        "turned": jpeg_file(pixels, orientation=6),
        "grey": jpeg_file(photograph(mode="L")),
        "png": imagecodecs.png_encode(pixels),
    }
    upright = np.rot90(decoded(files["turned"]), 3) if kind == "turned" else pixels
    assert BasePhoto(np.ascontiguousarray(upright), files[kind]).jpeg is None


@pytest.mark.parametrize("value", [0, 18, 255])
def test_one_colour(value: int) -> None:
    """No range is empty, and nothing is divided by zero."""
    pixels = np.full((40, 56, 3), value, np.uint8)
    base = srgb_decode(np.float32(value / 255))
    for factor in (0.25, 1.0, 16.0):
        linear = np.full(pixels.shape, base * factor, np.float32)
        found = by_libultrahdr(encode_ultra_hdr(linear, BasePhoto(pixels), None, 95, True), 2.0**6)
        np.testing.assert_allclose(found, linear, rtol=0.01, atol=0.002)


def test_a_lone_bright_pixel_darkens_no_screen() -> None:
    pixels = photograph()
    linear = srgb_decode(pixels.astype(np.float32) / 255)
    linear[5, 7] = 16
    assert make_gain_map(linear, pixels).headroom == 1 / 8


@pytest.mark.parametrize("step", [2, 61])
def test_headroom_is_that_of_all_pixels(step: int) -> None:
    """Also where those that are bright lie between those, or are all of those, that a sample
    takes."""
    pixels = np.full((100, 610, 3), 128, np.uint8)
    linear = np.full(pixels.shape, 0.25, np.float32)
    bright = linear.reshape(-1, 3)[step // 2 * (step == 2) :: step]
    bright[:] = np.linspace(1, 8, len(bright), dtype=np.float32)[:, None]
    least = np.sort(linear.max(-1).ravel())[-(linear.shape[0] * linear.shape[1] // 1000) - 1]
    assert make_gain_map(linear, pixels).headroom == pytest.approx(np.log2(least), abs=0.01)


@pytest.mark.parametrize("height, width", [(1, 50_001), (97, 1283), (64, 40)])
def test_map_is_that_of_the_formula(height: int, width: int) -> None:
    """In float64, all rows at once; sizes that no block divides."""
    random = np.random.default_rng(height)
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    linear = (random.random(pixels.shape, np.float32) ** 4 * 18 - 0.1).astype(np.float32)
    light = np.maximum(linear.astype(np.float64), 0)
    gains = np.log2((light + OFFSET) / (srgb_decode(pixels / 255) + OFFSET))
    found = make_gain_map(linear, pixels)
    assert (found.low, found.high) == pytest.approx((gains.min(), gains.max()), abs=2e-6)
    assert np.abs(found.low + found.codes / 255 * (found.high - found.low) - gains).max() < (
        0.51 / 255 * (found.high - found.low)
    )
    headroom = np.log2(np.percentile(light.max(-1), 99.9))
    assert found.headroom == pytest.approx(headroom, abs=0.02)


def test_a_packet_that_has_no_room_gives_way() -> None:
    long = XMP.replace(b" " * 2000, b"").replace(b'"5"', b'"' + b"a" * 64_900 + b'"')
    data = jpeg_file(photograph(64, 64), xmp=long)
    pixels = decoded(data)
    encoded = encode_ultra_hdr(light_of(pixels), BasePhoto(pixels, data), None, 95, True)
    assert b"aaaa" not in encoded and b"hdrgm:Version" in first_picture(encoded)


def test_iso_form_is_that_of_the_standard() -> None:
    """ISO 21496-1, C.2.2: versions, flags, two headrooms, five ratios for all channels."""
    pixels = photograph(64, 64)
    linear = light_of(pixels)
    encoded = encode_ultra_hdr(linear, BasePhoto(pixels), None, 95, True)
    bodies = [
        data[part.start + 4 : part.end].removeprefix(ISO_NAME)
        for data in (first_picture(encoded), encoded[len(first_picture(encoded)) :])
        for part in segments(data)
        if data[part.start + 4 : part.end].startswith(ISO_NAME)
    ]
    assert bodies[0] == bytes(4)
    assert bodies[1][:5] == bytes([0, 0, 0, 0, 0x40])
    numbers = struct.unpack(">14i", bodies[1][5:])
    ratios = np.divide(numbers[::2], numbers[1::2])
    gains = make_gain_map(linear, decoded(encoded))
    expected = [0, gains.headroom, gains.low, gains.high, 1, OFFSET, OFFSET]
    np.testing.assert_allclose(ratios, expected, atol=2e-6)
