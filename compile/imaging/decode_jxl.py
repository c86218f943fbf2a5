"""A JPEG XL file's pixels, by libjxl, and what its header and boxes say of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from compile.imaging.colour_spaces import space_of_curve
from compile.imaging.decode_jpeg import decode_jpeg
from compile.imaging.decoded_photo import (
    GAIN_MAP_IGNORED,
    DamagedFileError,
    DecodedPhoto,
    UnsupportedFileError,
)
from compile.imaging.exif_facts import DAMAGE
from compile.imaging.jxl_header import JxlHeader, read_jxl_header
from compile.imaging.read_boxes import read_boxes

_CODESTREAM = b"\xff\x0a"
_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_RESULT = 6  # bytes of a pixel: RGB, and once more while it is turned
_ORIGIN = "its header"


def is_jxl(data: bytes) -> bool:
    """Whether it is a JPEG XL file, by its first bytes."""
    return data.startswith((_CODESTREAM, _CONTAINER))


def jxl_size(data: bytes) -> tuple[int, int, int]:
    """(height, width, bytes of memory that a pixel needs) of a JPEG XL file.

    Raises:
        DamagedFileError: its header is cut off or damaged.
        UnsupportedFileError: it is of a kind that is not read.
    """
    header = _header(data)
    if header.is_float or header.bits > 16:
        raise UnsupportedFileError("a JPEG XL picture of floats or of more than 16 bits")
    # libjxl itself works in floats.
    return header.height, header.width, 32 + _RESULT


def decode_jxl(data: bytes) -> DecodedPhoto:
    """Decode a JPEG XL file, of an animation the first picture; libjxl turns it upright. One that
    was a JPEG file is made that file again, whose ICC profile can be read.

    Raises:
        DamagedFileError: libjxl misses data.
        UnsupportedFileError: its colours are those of a profile, which nothing here can read.
    """
    boxes = dict(_boxes(data))
    if b"jbrd" in boxes:
        try:
            return decode_jpeg(bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=1)))
        except imagecodecs.JpegxlError as error:
            raise DamagedFileError(str(error)) from error
    header = _header(data)
    said = [GAIN_MAP_IGNORED] if b"jhgm" in boxes else []
    if header.has_profile:
        raise UnsupportedFileError("a JPEG XL picture with an ICC profile, which is not read")
    spaces = []
    try:
        spaces.append(
            space_of_curve(header.white, header.primaries, header.gamma or header.transfer, _ORIGIN)
        )
    except ValueError as error:
        said.append(f"its colours are not used ({error})")
    try:
        pixels = imagecodecs.jpegxl_decode(data, index=0)
    except (imagecodecs.JpegxlError, *DAMAGE) as error:
        raise DamagedFileError(str(error)) from error
    pixels = _all_bits(pixels.reshape(*pixels.shape[:2], -1), header.bits)
    colours = pixels.shape[-1] - 1 | 1  # 1 with and without alpha, or 3
    alpha = pixels[..., colours] if pixels.shape[-1] > colours else None
    return DecodedPhoto(pixels[..., :colours], alpha, tuple(spaces), 1, tuple(said))


def _all_bits(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """``pixels`` of so many bits as all of their type's, white for white."""
    white, most = (1 << bits) - 1, int(np.iinfo(pixels.dtype).max)
    if white == most:
        return pixels
    return ((pixels.astype(np.uint32) * most + white // 2) // white).astype(pixels.dtype)


def jxl_exif(data: bytes) -> bytes | None:
    """The EXIF of a file from its TIFF header on, or None."""
    for name, body in _boxes(data):
        if name == b"brob" and body[:4] == b"Exif":
            name, body = b"Exif", bytes(imagecodecs.brotli_decode(body[4:]))
        if name == b"Exif" and len(body) > 4:
            (start,) = struct.unpack_from(">I", body)
            return body[4 + start :]
    return None


def _header(data: bytes) -> JxlHeader:
    codestream = data
    if data.startswith(_CONTAINER):
        parts = [
            body if name == b"jxlc" else body[4:]
            for name, body in _boxes(data)
            if name in (b"jxlc", b"jxlp")
        ]
        codestream = b"".join(parts)
    try:
        return read_jxl_header(codestream)
    except ValueError as error:
        raise DamagedFileError(str(error)) from error


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Those up to the first that is damaged; none of a bare codestream."""
    if data.startswith(_CONTAINER):
        with suppress(ValueError, struct.error):
            yield from read_boxes(data)
