"""A HEIC or AVIF file's pixels, by libheif or libavif, and what its boxes say of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import pi_heif
from numpy.typing import NDArray

from compile.imaging.colour_spaces import ColourSpace, space_of_codes
from compile.imaging.decoded_photo import (
    APPLES_GAIN_MAP,
    GAIN_MAP_IGNORED,
    DamagedFileError,
    DecodedPhoto,
    UnsupportedFileError,
)
from compile.imaging.exif_facts import DAMAGE
from compile.imaging.heif_items import HeifItems, read_heif_items
from compile.imaging.icc_profile import space_of_profile
from compile.imaging.orientation import turn_upright

# Of pictures; sequences have others, beside these if there is a picture, too.
_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"avif", b"mif1"}
_UNSPECIFIED = 2  # ITU-T H.273
_RESULT = 6  # bytes of a pixel: RGB, and once more while it is turned


def is_heif(data: bytes) -> bool:
    """Whether it is a HEIC or AVIF file, by its brands."""
    return bool(_brands(data) & _BRANDS)


def heif_size(data: bytes) -> tuple[int, int, int]:
    """(height, width, bytes of memory that a pixel needs) of a file.

    Raises:
        DamagedFileError: its boxes are cut off or damaged.
        UnsupportedFileError: it has another picture than one of HEVC or AV1.
    """
    items = _items(data)
    if items.tile.kind not in (b"hvc1", b"av01"):
        coder = items.tile.kind.decode("latin-1").strip()
        raise UnsupportedFileError(f"a HEIF picture of a coder that is not read ({coder})")
    height, width = items.size()
    return height, width, 8 + _RESULT


def decode_heif(data: bytes) -> DecodedPhoto:
    """Decode a file's primary picture, in 16 bits where it has more than 8.

    An ICC profile precedes the codes (nclx), as in readers of both formats (ISO/IEC 23008-12,
    6.5.5). Turned and mirrored it is by its properties (irot, imir); what EXIF says of
    that does not count there (23008-12, annex A.2.4).

    Raises:
        DamagedFileError: the boxes or the pixels are cut off or damaged.
    """
    items = _items(data)
    said: list[str] = []
    if _has_gain_map(items):
        said.append(GAIN_MAP_IGNORED)
    if items.tile.kind == b"av01":
        pixels, orientation = _decode_av1(data, items), _orientation(items)
        if items.picture.find(b"clap"):
            said.append("is to be cropped (clap), which is not done")
    else:
        pixels, orientation = _decode_hevc(data), 1  # libheif has turned it.
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    colours = pixels.shape[-1] - 1 | 1  # 1 with and without alpha, or 3
    alpha = pixels[..., colours] if pixels.shape[-1] > colours else None
    spaces = tuple(_spaces(items, said))
    return DecodedPhoto(pixels[..., :colours], alpha, spaces, orientation, tuple(said))


def heif_exif(data: bytes) -> bytes | None:
    """The EXIF of a file from its TIFF header on, or None.

    Raises:
        DamagedFileError: its boxes are damaged.
    """
    items = _items(data)
    try:
        block = items.described(b"Exif")
    except ValueError as error:
        raise DamagedFileError(str(error)) from error
    if block is None or len(block) < 4:
        return None
    (start,) = struct.unpack_from(">I", block)
    return block[4 + start :]


def _brands(data: bytes) -> set[bytes]:
    if data[4:8] != b"ftyp":
        return set()
    size = min(int.from_bytes(data[:4], "big"), len(data))
    return {data[at : at + 4] for at in (8, *range(16, size, 4))}


def _items(data: bytes) -> HeifItems:
    try:
        items = read_heif_items(data)
        items.size()
    except ValueError as error:
        raise DamagedFileError(str(error)) from error
    return items


def _decode_hevc(data: bytes) -> NDArray[Any]:
    try:
        picture = pi_heif.open_heif(data, convert_hdr_to_8bit=False)
        pixels = np.array(picture)  # A copy: the memory goes with the picture.
    except (RuntimeError, *DAMAGE) as error:
        raise DamagedFileError(str(error)) from error
    depth = picture.info["bit_depth"]
    # Those bits are the uppermost of 16.
    return pixels if depth == 8 else _to_16_bits(pixels >> (16 - depth), depth)


def _decode_av1(data: bytes, items: HeifItems) -> NDArray[Any]:
    try:
        pixels = imagecodecs.avif_decode(data, index=0)
    except (imagecodecs.AvifError, *DAMAGE) as error:
        raise DamagedFileError(str(error)) from error
    if pixels.dtype == np.uint8:
        return pixels
    (configuration, *_) = items.tile.find(b"av1C") or [b""]
    if len(configuration) < 3:
        raise DamagedFileError("its bits are not told")
    return _to_16_bits(pixels, 12 if configuration[2] & 0x20 else 10)


def _to_16_bits(values: NDArray[np.uint16], depth: int) -> NDArray[np.uint16]:
    """All of 16 bits for all of ``depth``, white for white."""
    return np.bitwise_or(values << (16 - depth), values >> (2 * depth - 16), dtype=np.uint16)


def _spaces(items: HeifItems, said: list[str]) -> Iterator[ColourSpace]:
    bodies = items.picture.find(b"colr") or items.tile.find(b"colr")
    for body in bodies:
        if body[:4] in (b"prof", b"rICC"):
            yield space_of_profile(body[4:], "its ICC profile")
    for body in bodies:
        if body[:4] != b"nclx" or len(body) < 10:
            continue
        primaries, transfer = struct.unpack_from(">HH", body, 4)
        if _UNSPECIFIED in (primaries, transfer):
            continue
        try:
            # libheif and libavif have made full range of narrow.
            yield space_of_codes(primaries, transfer, True, "its colour codes (nclx)")
        except ValueError as error:
            said.append(f"its colour codes (nclx) are not used ({error})")


def _has_gain_map(items: HeifItems) -> bool:
    for item in items.items.values():
        if item.kind == b"tmap" or any(APPLES_GAIN_MAP in body for body in item.find(b"auxC")):
            return True
    return False


def _orientation(items: HeifItems) -> int:
    """That of EXIF which does what the properties do, in their order."""
    corners = np.arange(4).reshape(2, 2)
    turned = corners
    for name, body in items.picture.properties:
        if name == b"irot":
            turned = np.rot90(turned, body[0] & 3)
        elif name == b"imir":
            turned = turned[:, ::-1] if body[0] & 1 else turned[::-1]
    for orientation in range(1, 9):
        if np.array_equal(turn_upright(corners, orientation), turned):
            return orientation
    raise AssertionError("a turn of a square is one of eight")
