"""PNG files of every depth, with transparency, odd chunks and damage.

Right values follow from how the files are made, and the PNG specification, third edition.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from picture_files import SIGNATURE, chunk, header, png, png_of_rows, scene
from PIL import Image

from compile.imaging.read_photo import read_photo
from compile.support.errors import PhotoError

SIDE = 64


def read(tmp_path: Path, data: bytes) -> NDArray[np.uint8]:
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    return read_photo(path)


def refused(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(PhotoError, match=words):
        read(tmp_path, data)


def packed_rows(values: NDArray, depth: int) -> bytes:
    """Rows of PNG of ``values`` [H, W], most significant bit first."""
    if depth == 16:
        return b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
    rows = np.packbits(bits.reshape(len(values), -1), axis=-1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


# Depth and transparency


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_grey_of_any_depth_with_a_transparent_value(tmp_path: Path, depth: int) -> None:
    """11.3.1.1 (tRNS): pixels of exactly this value are transparent, so black."""
    most = 2**depth - 1
    values = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) * (most // min(most, 255)) % (most + 1)
    seen = np.rint(values * 255 / most)
    for clear in {most, most // 2, most - 1}:
        trns = chunk(b"tRNS", struct.pack(">H", clear))
        photo = read(
            tmp_path, png_of_rows(header(SIDE, SIDE, depth, 0), packed_rows(values, depth), trns)
        )
        right = np.where(values == clear, 0, seen)
        np.testing.assert_array_equal(photo, np.repeat(right[..., None], 3, -1))


@pytest.mark.parametrize("depth", [8, 16])
def test_colour_with_a_transparent_value(tmp_path: Path, depth: int) -> None:
    pixels = scene(SIDE, SIDE) if depth == 8 else scene(SIDE, SIDE).astype(np.uint16) * 257
    clear = pixels[5, 7]
    trns = chunk(b"tRNS", struct.pack(">3H", *clear.tolist()))
    right = np.where((pixels == clear).all(-1, keepdims=True), 0, scene(SIDE, SIDE))
    photo = read(tmp_path, png(pixels, trns))
    np.testing.assert_array_equal(photo, right)
    assert not photo[5, 7].any() and photo.any()


def test_sixteen_bits_differ_from_the_transparent_value_in_the_last(tmp_path: Path) -> None:
    pixels = np.full((SIDE, SIDE, 1), 0x8000, np.uint16)
    pixels[:32] += 1
    photo = read(tmp_path, png(pixels, chunk(b"tRNS", b"\x80\0")))
    assert (photo[:32] == 128).all() and not photo[32:].any()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palette_of_any_depth_with_transparency(tmp_path: Path, depth: int) -> None:
    colours = 2**depth
    palette = scene(32, 32).reshape(-1, 3)[:: 1024 // colours][:colours]
    alpha = np.linspace(0, 255, colours).round().astype(int)
    values = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % colours
    data = png_of_rows(
        header(SIDE, SIDE, depth, 3),
        packed_rows(values, depth),
        chunk(b"PLTE", palette.tobytes()),
        chunk(b"tRNS", bytes(alpha.tolist())),
    )
    right = np.rint(palette[values] * (alpha[values][..., None] / 255))
    assert np.abs(read(tmp_path, data) - right).max() <= 1


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_a_colour_behind_the_palettes_end_is_said(
    tmp_path: Path, depth: int, caplog: pytest.LogCaptureFixture
) -> None:
    palette = np.array([[200, 100, 50], [10, 20, 30], [0, 0, 0]], np.uint8)
    values = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 3
    for last in (2, 3):
        values[5, 7] = last
        rows = packed_rows(values, depth)
        data = png_of_rows(header(SIDE, SIDE, depth, 3), rows, chunk(b"PLTE", palette.tobytes()))
        found = read(tmp_path, data)
        np.testing.assert_array_equal(found, np.concatenate([palette, palette[2:]])[values])
        assert ("photo.png: its palette lacks colours" in caplog.text) is (last == 3)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_partly_transparent(tmp_path: Path, channels: int, dtype: type) -> None:
    scale = np.iinfo(dtype).max // 255
    colours = scene(SIDE, SIDE)[..., : channels - 1].astype(dtype) * scale
    alpha = (np.arange(SIDE * SIDE).reshape(SIDE, SIDE, 1) % 256).astype(dtype) * scale
    right = scene(SIDE, SIDE)[..., : channels - 1] * (alpha / np.iinfo(dtype).max)
    photo = read(tmp_path, png(np.concatenate([colours, alpha], -1)))
    assert np.abs(photo - right).max() <= 0.51


def test_transparency_that_is_no_use_is_said_with_the_files_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = scene()
    np.testing.assert_array_equal(read(tmp_path, png(pixels, chunk(b"tRNS", b"\0"))), pixels)
    (record,) = caplog.records
    assert "photo.png" in record.getMessage() and "tRNS" in record.getMessage()


@pytest.mark.parametrize("depth", [8, 16])
def test_interlaced(tmp_path: Path, depth: int, caplog: pytest.LogCaptureFixture) -> None:
    """8.1: Adam7, seven pictures of their own."""
    pixels = np.repeat(scene(45, 67), depth // 8, axis=-1)
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    rows = b""
    for top, left, down, right in [*passes, (1, 0, 2, 1)]:
        rows += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::right])
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", 67, 45, depth, 2, 0, 0, 1))
    np.testing.assert_array_equal(read(tmp_path, png_of_rows(ihdr, rows)), scene(45, 67))
    assert caplog.text == ""


# Sound files with unusual chunks


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(b"tEXt", b"Comment\0" + b"x" * 20_000_000)],
        [chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000)))],
        [chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(3_000_000)))] * 30,
        [chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(3_000_000)))],
        [chunk(b"prVt", b"private") for _ in range(2000)],
        [chunk(b"tIME", b"1")[:-4] + b"????"],  # a wrong check sum where it does not matter
        [chunk(b"acTL", struct.pack(">II", 1, 0))],
        [chunk(b"sBIT", bytes(40))],
    ],
)
def test_chunks_beside_the_pixels_do_not_count(tmp_path: Path, chunks: list[bytes]) -> None:
    np.testing.assert_array_equal(read(tmp_path, png(scene(), *chunks)), scene())


def test_what_follows_the_pixels_may_be_missing_or_more(tmp_path: Path) -> None:
    whole = png(scene())
    for data in (whole[:-12], whole[:-5], whole + bytes(999), whole + whole):
        np.testing.assert_array_equal(read(tmp_path, data), scene())


def test_many_small_pieces(tmp_path: Path) -> None:
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in scene()))
    pieces = [chunk(b"IDAT", rows[at : at + 7]) for at in range(0, len(rows), 7)]
    data = b"".join([SIGNATURE, header(67, 45), *pieces, chunk(b"IDAT"), chunk(b"IEND")])
    np.testing.assert_array_equal(read(tmp_path, data), scene())


# Damage


def test_too_few_rows(tmp_path: Path) -> None:
    """A stream that ends well, but early."""
    whole = b"".join(b"\0" + row.tobytes() for row in scene())
    for length in (len(whole) // 2, len(whole) - 1, 1, 0):
        refused(tmp_path, png_of_rows(header(67, 45), whole[:length]), "truncated or damaged")


@pytest.mark.parametrize(
    "data",
    [
        png(scene()).replace(b"PLTE", b"IDAT")[:60],
        png_of_rows(header(SIDE, SIDE, 8, 3), bytes(65 * SIDE)),  # a palette without one
        png_of_rows(header(SIDE, SIDE, 3, 0), bytes(65 * SIDE)),  # no such depth
        png_of_rows(header(SIDE, SIDE, 8, 0), (b"\x07" + bytes(SIDE)) * SIDE),  # no such filter
        SIGNATURE + chunk(b"tEXt", b"a\0b") + png(scene())[8:],  # no header first
        SIGNATURE + header(SIDE, SIDE) + chunk(b"IEND"),
        SIGNATURE + header(SIDE, SIDE),
        SIGNATURE,
    ],
)
def test_what_libpng_refuses_is_damaged(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path, data, "truncated or damaged")


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT"])
def test_a_wrong_check_sum(tmp_path: Path, kind: bytes) -> None:
    data = bytearray(png(scene()))
    at = data.index(kind)
    (length,) = struct.unpack(">I", data[at - 4 : at])
    data[at + 4 + length] ^= 1
    refused(tmp_path, bytes(data), "truncated or damaged")


def test_apples_private_png_is_named(tmp_path: Path) -> None:
    data = SIGNATURE + chunk(b"CgBI", b"\x50\0\x20\x06") + png(scene())[8:]
    refused(tmp_path, data, "CgBI")


# EXIF


@pytest.mark.parametrize("place", ["before", "after", "text"])
def test_orientation_wherever_exif_stands(tmp_path: Path, place: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    body = exif.tobytes().removeprefix(b"Exif\0\0")
    whole = png(scene())
    told = chunk(b"eXIf", body)
    if place == "text":  # as ImageMagick writes it
        hexed = b"\nexif\n%8d\n" % len(body) + body.hex().encode() + b"\n"
        told = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(hexed))
    after = whole.index(b"IEND") - 4
    at = after if place == "after" else whole.index(b"IDAT") - 4
    photo = read(tmp_path, whole[:at] + told + whole[at:])
    np.testing.assert_array_equal(photo, scene()[::-1, ::-1])


def test_exif_says_nothing_of_a_pngs_colours(tmp_path: Path) -> None:
    """11.3.4.5: what it says may be older than the pixels."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 2  # Adobe RGB
    told = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    np.testing.assert_array_equal(read(tmp_path, png(scene(), told)), scene())
