"""A photograph's file as upright 8-bit pixels: the first step of every inference."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compile.imaging import decode_jpeg, decode_png, jpeg_segments
from compile.imaging.colour_spaces import ColourSpace
from compile.imaging.convert_colours import convert_colours
from compile.imaging.decode_heif import decode_heif, heif_size, is_heif
from compile.imaging.decode_jxl import decode_jxl, is_jxl, jxl_size
from compile.imaging.decode_tiff import decode_tiff, is_tiff, tiff_size
from compile.imaging.decode_webp import decode_webp, is_webp, webp_size
from compile.imaging.decoded_photo import DamagedFileError, DecodedPhoto, UnsupportedFileError
from compile.imaging.file_kinds import READ, Kind, describe_kind
from compile.imaging.fit_size import best_fit
from compile.imaging.gamuts import SRGB, Gamut, gamut_of
from compile.imaging.orientation import turn_upright
from compile.support.errors import PhotoError
from compile.support.memory import free_memory

MIN_SIDE = 32
"""Pixels: the network halves its input five times."""

_HEAD = 4096
"""Bytes of a file that is no picture, by which it is told what it is."""

_DRAFT = 2
"""Times the size that is asked for: a picture that is decoded smaller keeps so many pixels."""

_log = logging.getLogger(__name__)


# Of each kind that is decoded in one size only: whether a file is of it, what it takes, its pixels.
_KINDS = (
    (
        lambda data: data.startswith(decode_png.SIGNATURE),
        decode_png.png_size,
        decode_png.decode_png,
    ),
    (is_heif, heif_size, decode_heif),
    (is_webp, webp_size, decode_webp),
    (is_tiff, tiff_size, decode_tiff),
    (is_jxl, jxl_size, decode_jxl),
)


class WidePhoto(NamedTuple):
    """Upright pixels, uint8 [H, W, 3], with sRGB's curve in the primaries of ``gamut``."""

    pixels: NDArray[np.uint8]
    gamut: Gamut


class StoredPhoto(NamedTuple):
    """As :class:`WidePhoto`; ``is_stored``: as they are in the file, neither turned nor shrunk
    nor of other colours."""

    pixels: NDArray[np.uint8]
    gamut: Gamut
    is_stored: bool


def read_photo(
    path: str | Path, shrink_to: tuple[int, int] | None = None, data: bytes | None = None
) -> NDArray[np.uint8]:
    """Read a photograph of any size as uint8 [H, W, 3], sRGB, upright: as
    :func:`read_wide_photo`, with colours that sRGB does not have moved to its border.

    Raises:
        PhotoError: as there.
    """
    return _read(path, shrink_to, data, lambda _: SRGB).pixels


def read_stored_photo(
    path: str | Path, shrink_to: tuple[int, int] | None = None, data: bytes | None = None
) -> StoredPhoto:
    """Read a photograph as :func:`read_wide_photo` does, and say whether it is as it was stored.

    Raises:
        PhotoError: as there.
    """
    return _read(path, shrink_to, data, gamut_of)


def read_wide_photo(
    path: str | Path, shrink_to: tuple[int, int] | None = None, data: bytes | None = None
) -> WidePhoto:
    """Read a photograph of any size as upright pixels of the smallest gamut that holds its colours.

    - The orientation is applied: of EXIF, or in HEIC and AVIF of the file's own properties.
    - The colour space that the file names is converted to a gamut (relative colorimetric): of a PNG
      by cICP, ICC profile, sRGB, or gAMA and cHRM, of HEIC and AVIF by ICC profile or codes (nclx),
      of the others by ICC profile or EXIF, the first that is usable. A broken one is ignored with a
      warning. Where none is named the values are taken for sRGB, CMYK for Pillow's plain
      conversion.
    - Greyscale and palettes become three channels; more bits become 8, after the conversion.
    - Transparency is composited over black: where there is no picture there is no light, and the
      network must not turn a paper-white surround into highlights.
    - Of an animation or a multi-picture file, the first picture. A gain map is ignored, with a
      warning.

    Args:
        shrink_to: (height, width) that the photograph will be shrunk to: a JPEG of four times the
            size or more may be decoded smaller, at no less than twice this size.
        data: what :func:`photo_bytes` gave for ``path``, where the caller has read it: a pipe is
            read once.

    Raises:
        PhotoError: missing or unreadable, of a kind that is not read, truncated or damaged, HDR
            already, too large for the free memory, or below 32 pixels on a side.
    """
    return WidePhoto(*_read(path, shrink_to, data, gamut_of)[:2])


def _read(
    path: str | Path,
    shrink_to: tuple[int, int] | None,
    data: bytes | None,
    choose: Callable[[ColourSpace | None], Gamut],
) -> StoredPhoto:
    path = Path(path)
    data = photo_bytes(path) if data is None else data
    try:
        photo = _decode(path, data, shrink_to)
        pixels, gamut = _convert(path, photo, choose)
        is_as_it_was = photo.orientation == 1 and not photo.is_shrunk
        is_stored = is_as_it_was and np.shares_memory(pixels, photo.pixels)
        return StoredPhoto(turn_upright(pixels, photo.orientation), gamut, is_stored)
    except DamagedFileError as error:
        _log.debug("%s: %s", path, error)
        raise PhotoError(
            f"{path} is truncated or damaged; copy or download the photograph again"
        ) from error
    except UnsupportedFileError as error:
        raise PhotoError(f"{path} is {error}; convert it to a plain 8-bit JPEG or PNG") from error
    except MemoryError as error:
        raise PhotoError(f"{path} has more pixels than fit the memory; shrink it first") from error


def photo_bytes(path: Path) -> bytes:
    """Read the file at ``path``; of one that is no picture only its beginning, for it may be
    larger than the memory, or a device that never ends.

    Raises:
        PhotoError: missing or unreadable.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            is_picture = head.startswith(jpeg_segments.SIGNATURE) or any(
                is_this(head) for is_this, _, _ in _KINDS
            )
            return head + file.read() if is_picture else head
    except FileNotFoundError as error:
        raise PhotoError(f"{path} does not exist; check the photograph's name") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PhotoError(f"{path} cannot be read ({reason}); name a readable file") from error


def _decode(path: Path, data: bytes, shrink_to: tuple[int, int] | None) -> DecodedPhoto:
    for is_this, size_of, decode in _KINDS:
        if is_this(data):
            height, width, pixel = size_of(data)
            _check_sides(path, height, width)
            _check_memory(path, height, width, height * width * pixel)
            return decode(data)
    if data.startswith(jpeg_segments.SIGNATURE):
        height, width, pixel = decode_jpeg.jpeg_size(data)
        _check_sides(path, height, width)
        at_least = None
        if shrink_to is not None:
            # The same for a picture that EXIF turns: the better of both ways counts.
            scale = min(1, _DRAFT * best_fit(height, width, *shrink_to).scale)
            at_least = max(1, round(height * scale)), max(1, round(width * scale))
        shrunk = decode_jpeg.denominator(height, width, at_least)
        _check_memory(path, height, width, height * width * pixel // shrunk**2)
        return decode_jpeg.decode_jpeg(data, at_least)
    kind = describe_kind(data)
    if kind is None:
        kind = Kind("of an unknown kind", "convert the photograph to one of them")
    raise PhotoError(f"{path} is {kind.what}, not a {READ} picture; {kind.remedy}")


def _check_sides(path: Path, height: int, width: int) -> None:
    if min(height, width) < MIN_SIDE:
        raise PhotoError(
            f"{path} is {width}x{height} pixels; take a photograph of at least "
            f"{MIN_SIDE} pixels on each side"
        )


def _check_memory(path: Path, height: int, width: int, needed: int) -> None:
    free = free_memory()
    if needed > free:
        raise PhotoError(
            f"{path} is {width}x{height} pixels, which need {needed / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free; scale it down first"
        )


def _convert(
    path: Path, photo: DecodedPhoto, choose: Callable[[ColourSpace | None], Gamut]
) -> WidePhoto:
    for sentence in photo.warnings:
        _log.warning("%s: %s", path, sentence)
    for space in photo.spaces:
        if space.hdr is not None:
            raise PhotoError(
                f"{path} is HDR already ({space.hdr}, by {space.origin}); take an SDR photograph"
            )
        try:
            gamut = choose(space)
            return WidePhoto(convert_colours(photo, space, gamut), gamut)
        except ValueError as error:
            _log.warning("%s: %s is unusable (%s) and ignored", path, space.origin, error)
    return WidePhoto(convert_colours(photo, None), SRGB)
