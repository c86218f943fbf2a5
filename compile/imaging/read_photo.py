"""A JPEG or PNG file as upright 8-bit sRGB pixels: the first step of every inference."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compile.imaging import decode_jpeg, decode_png, jpeg_segments
from compile.imaging.decoded_photo import DamagedFileError, DecodedPhoto, UnsupportedFileError
from compile.imaging.file_kinds import Kind, describe_kind
from compile.imaging.fit_size import best_fit
from compile.imaging.to_srgb import to_srgb
from compile.support.errors import PhotoError
from compile.support.memory import free_memory

MIN_SIDE = 32
"""Pixels: the network halves its input five times."""

_HEAD = 4096
"""Bytes of a file that is no picture, by which it is told what it is."""

_DRAFT = 2
"""Times the size that is asked for: a picture that is decoded smaller keeps so many pixels."""

_log = logging.getLogger(__name__)


def read_photo(
    path: str | Path, shrink_to: tuple[int, int] | None = None, data: bytes | None = None
) -> NDArray[np.uint8]:
    """Read a photograph of any size as uint8 [H, W, 3], sRGB, upright.

    - The EXIF orientation is applied.
    - The colour space that the file names is converted to sRGB (relative colorimetric): of a PNG
      by cICP, ICC profile, sRGB, or gAMA and cHRM, of a JPEG by ICC profile or EXIF, the first
      that is usable. A broken one is ignored with a warning. Where none is named the values are
      taken for sRGB, CMYK for Pillow's plain conversion.
    - Greyscale and palettes become three channels; 16 bits become 8, after the conversion.
    - Transparency is composited over black: where there is no picture there is no light, and the
      network must not turn a paper-white surround into highlights.
    - Of an animation or a multi-picture file, the first picture.

    Args:
        shrink_to: (height, width) that the photograph will be shrunk to: a JPEG of four times the
            size or more may be decoded smaller, at no less than twice this size.
        data: what :func:`photo_bytes` gave for ``path``, where the caller has read it: a pipe is
            read once.

    Raises:
        PhotoError: missing or unreadable, neither JPEG nor PNG, truncated or damaged, HDR already,
            too large for the free memory, or below 32 pixels on a side.
    """
    path = Path(path)
    data = photo_bytes(path) if data is None else data
    try:
        photo = _decode(path, data, shrink_to)
        return _upright(_convert(path, photo), photo.orientation)
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
            is_picture = head.startswith((decode_png.SIGNATURE, jpeg_segments.SIGNATURE))
            return head + file.read() if is_picture else head
    except FileNotFoundError as error:
        raise PhotoError(f"{path} does not exist; check the photograph's name") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PhotoError(f"{path} cannot be read ({reason}); name a readable file") from error


def _decode(path: Path, data: bytes, shrink_to: tuple[int, int] | None) -> DecodedPhoto:
    if data.startswith(decode_png.SIGNATURE):
        height, width, pixel = decode_png.png_size(data)
        _check_sides(path, height, width)
        _check_memory(path, height, width, height * width * pixel)
        return decode_png.decode_png(data)
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
    raise PhotoError(f"{path} is {kind.what}, not a JPEG or PNG picture; {kind.remedy}")


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


def _convert(path: Path, photo: DecodedPhoto) -> NDArray[np.uint8]:
    for sentence in photo.warnings:
        _log.warning("%s: %s", path, sentence)
    for space in photo.spaces:
        if space.hdr is not None:
            raise PhotoError(
                f"{path} is HDR already ({space.hdr}, by {space.origin}); take an SDR photograph"
            )
        try:
            return to_srgb(photo, space)
        except ValueError as error:
            _log.warning("%s: %s is unusable (%s) and ignored", path, space.origin, error)
    return to_srgb(photo, None)


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Exif 2.32, tag 0112."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.require(pixels, requirements=["C", "W"])
