"""A PNG file's pixels, by libpng, and what its chunks say of orientation and colour.

libpng gets only the chunks that it needs for the pixels, so that no text, profile or private
chunk, however large or odd, keeps a sound picture from being read.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from compile.imaging.colour_spaces import ColourSpace, space_of_codes, space_of_numbers
from compile.imaging.decoded_photo import DamagedFileError, DecodedPhoto, UnsupportedFileError
from compile.imaging.icc_profile import space_of_profile
from compile.imaging.png_chunk import png_chunk

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_COLOUR = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
# Text in which programs hide EXIF: ImageMagick's, and Adobe's XMP.
_EXIF_TEXTS = (b"Raw profile type ",)
_LARGEST_PROFILE = 1 << 26
_RESULT = 6  # bytes of a pixel: RGB, and once more while it is turned
_HEADER = ">IIBBBBB"
_PALETTE = 3  # the colour type


class _Chunk(NamedTuple):
    kind: bytes
    body: memoryview
    sound: bool

    def write(self) -> bytes:
        return png_chunk(self.kind, bytes(self.body))


# What libpng says to imagecodecs, of any interlaced picture of 16 bits.
_OF_THE_CALLER = "Interlace handling should be turned on"


def is_png(data: bytes) -> bool:
    """Whether it is a PNG file, by its first bytes."""
    return data.startswith(SIGNATURE)


def png_size(data: bytes) -> tuple[int, int, int]:
    """(height, width, bytes of memory that a pixel needs) of a PNG file.

    Raises:
        DamagedFileError: its header is cut off or damaged.
        UnsupportedFileError: it is in a private form.
    """
    header = next(_chunks(data), None)
    if header is not None and header.kind == b"CgBI":
        raise UnsupportedFileError("a PNG in the private form of iPhone programs (CgBI)")
    if header is None or header.kind != b"IHDR" or len(header.body) != 13 or not header.sound:
        raise DamagedFileError("its header is damaged")
    width, height, depth, *_ = struct.unpack(_HEADER, header.body)
    return height, width, (8 if depth == 16 else 4) + _RESULT


def decode_png(data: bytes) -> DecodedPhoto:
    """Decode a PNG file; of an animation the picture that readers without animations show.

    Colour spaces are listed as the PNG specification, third edition, 4.3, ranks them: cICP,
    iCCP, sRGB, then gAMA with cHRM. What EXIF says of colour does not count there (11.3.4.5).

    Raises:
        DamagedFileError: a chunk that the pixels need is missing or damaged, or libpng does not
            find all pixels.
    """
    chunks = list(_chunks(data))
    for chunk in chunks:
        if chunk.kind[0] & 0x20 == 0 and not chunk.sound:  # a critical chunk
            raise DamagedFileError(f"its {chunk.kind.decode('latin-1')} chunk is damaged")
    needed = [chunk.write() for chunk in chunks if chunk.kind in _PIXELS]
    said: list[str] = []
    try:
        with _libpng_warnings(said):
            pixels = imagecodecs.png_decode(SIGNATURE + b"".join(needed))
        if _lacks_colours(chunks, pixels):
            said.append("its palette lacks colours that pixels name, which are read as black")
    except (imagecodecs.PngError, ValueError) as error:
        raise DamagedFileError(str(error)) from error
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    colours = pixels.shape[-1] - 1 | 1  # 1 with and without alpha, or 3
    alpha = pixels[..., colours] if pixels.shape[-1] > colours else None
    spaces = tuple(_spaces(chunks, said))
    orientation = _orientation(chunks, said)
    return DecodedPhoto(pixels[..., :colours], alpha, spaces, orientation, tuple(said))


def _lacks_colours(chunks: list[_Chunk], pixels: NDArray[np.integer]) -> bool:
    """Whether a pixel names a colour behind the end of the palette. libpng takes black and says
    nothing; with a white one there, such a pixel is another."""
    _, _, depth, kind, *_ = struct.unpack(_HEADER, chunks[0].body)
    palette = next((chunk for chunk in chunks if chunk.kind == b"PLTE"), None)
    missing = 0 if palette is None else 3 * 2**depth - len(palette.body)
    if kind != _PALETTE or palette is None or missing <= 0:
        return False
    longer = palette._replace(body=memoryview(bytes(palette.body) + b"\xff" * missing))
    written = [
        (longer if chunk is palette else chunk).write() for chunk in chunks if chunk.kind in _PIXELS
    ]
    other = imagecodecs.png_decode(SIGNATURE + b"".join(written))
    return not np.array_equal(other, pixels)


@contextmanager
def _libpng_warnings(said: list[str]) -> Iterator[None]:
    """Collect what imagecodecs would log, which does not name the file."""
    logger = logging.getLogger("imagecodecs")

    def collect(record: logging.LogRecord) -> bool:
        if _OF_THE_CALLER not in record.getMessage():
            said.append(record.getMessage())
        return False

    logger.addFilter(collect)
    try:
        yield
    finally:
        logger.removeFilter(collect)


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """The chunks of a file up to its end or to where it is cut off."""
    view = memoryview(data)
    at = len(SIGNATURE)
    while at + 12 <= len(view):
        length, kind = struct.unpack_from(">I4s", view, at)
        end = at + 12 + length
        if end > len(view):
            return
        check = struct.unpack_from(">I", view, end - 4)
        yield _Chunk(kind, view[at + 8 : end - 4], (zlib.crc32(view[at + 4 : end - 4]),) == check)
        if kind == b"IEND":
            return
        at = end


def _spaces(chunks: list[_Chunk], said: list[str]) -> Iterator[ColourSpace]:
    """Each usable colour space; the chunks in question stand before the pixels, once."""
    found: dict[bytes, bytes] = {}
    for chunk in chunks:
        if chunk.kind == b"IDAT":
            break
        if chunk.kind in _COLOUR:
            if chunk.sound:
                found.setdefault(chunk.kind, bytes(chunk.body))
            else:
                said.append(f"its {chunk.kind.decode()} chunk is damaged and not used")
    steps: list[tuple[bytes, Callable[[], ColourSpace]]] = [
        (b"cICP", lambda: _by_codes(found[b"cICP"])),
        (b"iCCP", lambda: _by_profile(found[b"iCCP"])),
        (b"sRGB", lambda: ColourSpace("its sRGB chunk")),
    ]
    numbers = b"gAMA" if b"gAMA" in found else b"cHRM"
    steps.append((numbers, lambda: _by_numbers(found.get(b"gAMA"), found.get(b"cHRM"))))
    for kind, step in steps:
        if kind in found:
            try:
                yield step()
            except (ValueError, struct.error, zlib.error) as error:
                said.append(f"its {kind.decode()} chunk is not used ({error})")


def _by_codes(body: bytes) -> ColourSpace:
    primaries, transfer, matrix, full_range = struct.unpack(">4B", body)
    if matrix != 0 or full_range > 1:
        raise ValueError("PNG stores RGB only")
    return space_of_codes(primaries, transfer, bool(full_range), "its cICP chunk")


def _by_profile(body: bytes) -> ColourSpace:
    name, _, packed = body.partition(b"\0")
    unpack = zlib.decompressobj()
    profile = unpack.decompress(packed[1:], _LARGEST_PROFILE)
    return space_of_profile(profile, "its ICC profile", name.decode("latin-1"))


def _by_numbers(gamma: bytes | None, chromaticities: bytes | None) -> ColourSpace:
    exponent = None
    if gamma is not None:
        (encoded,) = struct.unpack(">I", gamma)
        if encoded == 0:
            raise ValueError("a gamma of 0 is no picture's")
        exponent = 100_000 / encoded
    numbers = None
    if chromaticities is not None:
        numbers = [number / 100_000 for number in struct.unpack(">8I", chromaticities)]
    origin = " and ".join(
        name for name, body in (("gAMA", gamma), ("cHRM", chromaticities)) if body is not None
    )
    return space_of_numbers(exponent, numbers, f"its {origin} chunk")


def _orientation(chunks: list[_Chunk], said: list[str]) -> int:
    """EXIF's orientation, by Pillow, which gets only the chunks that may hold it."""
    told = [
        chunk.write()
        for chunk in chunks
        if chunk.sound
        and (
            chunk.kind in (b"IHDR", b"eXIf")
            or (chunk.kind in _TEXT and bytes(chunk.body[:18]).startswith(_EXIF_TEXTS))
        )
    ]
    if len(told) < 2:
        return 1
    end = _Chunk(b"IDAT", memoryview(b""), True).write()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # unreadable EXIF tags
            image = PngImagePlugin.PngImageFile(io.BytesIO(SIGNATURE + b"".join(told) + end))
            # PngImageFile's own would decode the picture first.
            return Image.Image.getexif(image).get(0x0112, 1)
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, struct.error) as error:
        said.append(f"its EXIF block is malformed ({error}), orientation not applied")
        return 1
