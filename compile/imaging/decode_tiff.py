"""A TIFF file's pixels, by libtiff, and what its tags say of them (TIFF 6.0)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from compile.imaging.colour_spaces import ColourSpace
from compile.imaging.decoded_photo import DamagedFileError, DecodedPhoto, UnsupportedFileError
from compile.imaging.exif_facts import DAMAGE
from compile.imaging.icc_profile import space_of_profile

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RESULT = 6  # bytes of a pixel: RGB, and once more while it is turned

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_ORIENTATION, _SAMPLES, _PLANES, _COLOR_MAP = 274, 277, 284, 320
_EXTRA_SAMPLES, _SAMPLE_FORMAT, _PROFILE = 338, 339, 34675
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
_PLACES = {273, 324}  # of strips, or of tiles
_OLD_JPEG, _JPEG = 6, 7
_ASSOCIATED_ALPHA, _ALPHA = 1, 2
# Tags of cameras' raw files: of DNG, and of one whose first picture is a thumbnail of another.
_DNG_VERSION, _SUBFILE_TYPE, _SUB_DIRECTORIES, _REDUCED = 50706, 254, 330, 1
_CFA, _LINEAR_RAW = 32803, 34892


def is_tiff(data: bytes) -> bool:
    """Whether it is a TIFF file, by its first bytes. A camera's raw picture may be one, too."""
    return data.startswith(_STARTS) and data[8:10] != b"CR"


def tiff_size(data: bytes) -> tuple[int, int, int]:
    """(height, width, bytes of memory that a pixel needs) of a TIFF file's first picture.

    Raises:
        DamagedFileError: its tags are cut off or damaged.
        UnsupportedFileError: it is of a kind that is not read.
    """
    tags = _tags(data)
    _check_kind(tags)
    samples, depth = tags.get(_SAMPLES, 1), tags.get(_BITS, (1,))[0]
    return tags[_HEIGHT], tags[_WIDTH], 2 * samples * depth // 8 + _RESULT


def decode_tiff(data: bytes) -> DecodedPhoto:
    """Decode the first picture of a TIFF file; its colours are its ICC profile's.

    Raises:
        DamagedFileError: pixels are missing or damaged.
        UnsupportedFileError: it is of a kind that is not read.
    """
    tags = _tags(data)
    _check_kind(tags)
    photometric = tags[_PHOTOMETRIC]
    colours = _COLOURS[photometric]
    try:
        pixels = imagecodecs.tiff_decode(data, index=0)
    except (imagecodecs.TiffError, *DAMAGE) as error:
        raise DamagedFileError(str(error)) from error
    size, samples = (tags[_HEIGHT], tags[_WIDTH]), tags.get(_SAMPLES, 1)
    if tags.get(_PLANES, 1) == 2 and samples > 1:
        pixels = np.moveaxis(pixels.reshape(samples, *size), 0, -1)
    pixels = np.ascontiguousarray(pixels).reshape(*size, -1)
    extra = tags.get(_EXTRA_SAMPLES, ())
    alpha = None
    # Associated alpha has been multiplied into the colours already: they are over black.
    if _ALPHA in extra:
        alpha = pixels[..., colours + extra.index(_ALPHA)]
    pixels = pixels[..., :colours]
    if photometric == _WHITE_IS_ZERO:
        pixels = np.iinfo(pixels.dtype).max - pixels
    if photometric == _PALETTE:
        pixels = _by_palette(pixels[..., 0], tags)
    return DecodedPhoto(pixels, alpha, tuple(_spaces(tags)), tags.get(_ORIENTATION, 1))


def _tags(data: bytes) -> dict[int, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # tags that cannot be read
            is_big = b"+" in data[2:4]
            directory = ImageFileDirectory_v2(data[: 16 if is_big else 8])
            file = io.BytesIO(data)
            file.seek(directory.next)
            directory.load(file)
            tags = dict(directory.items())
        # Of a directory that is cut off the last are missing.
        is_whole = {_WIDTH, _HEIGHT, _PHOTOMETRIC} <= set(tags) and set(tags) & _PLACES
        if not is_whole or (_BITS not in tags and tags.get(_SAMPLES, 1) > 1):
            raise DamagedFileError("tags are missing")
    except DAMAGE as error:
        raise DamagedFileError(str(error)) from error
    return tags


def _check_kind(tags: dict[int, Any]) -> None:
    photometric = tags[_PHOTOMETRIC]
    is_thumbnail = tags.get(_SUBFILE_TYPE, 0) & _REDUCED and _SUB_DIRECTORIES in tags
    is_raw = _DNG_VERSION in tags or photometric in (_CFA, _LINEAR_RAW)
    if is_raw or is_thumbnail or tags.get(_COMPRESSION) == _OLD_JPEG:
        raise UnsupportedFileError("a camera's raw picture (or a TIFF of a kind before 1995)")
    if photometric not in _COLOURS:
        raise UnsupportedFileError(f"a TIFF of other colours than RGB or CMYK ({photometric})")
    if photometric == _YCBCR and tags.get(_COMPRESSION) != _JPEG:
        raise UnsupportedFileError("a TIFF in YCbCr")
    depths, formats = set(tags.get(_BITS, (1,))), set(tags.get(_SAMPLE_FORMAT, (1,)))
    if formats == {3}:
        raise UnsupportedFileError("a TIFF of floats, whose white nobody knows")
    if formats != {1} or depths not in ({8}, {16}):
        raise UnsupportedFileError(f"a TIFF of {min(depths)} bits that is not of 8 or 16")


def _by_palette(codes: NDArray[Any], tags: dict[int, Any]) -> NDArray[np.uint8]:
    # Some writers make 16 bits of 8 by 256, some by 257: the upper 8 are right in both.
    colours = (np.array(tags.get(_COLOR_MAP, ()), np.uint16) >> 8).astype(np.uint8)
    colours = colours.reshape(3, -1).T
    if not len(colours) or codes.max() >= len(colours):
        raise DamagedFileError("its palette lacks colours that pixels name")
    return colours[codes]


def _spaces(tags: dict[int, Any]) -> Iterator[ColourSpace]:
    profile = tags.get(_PROFILE)
    if profile:
        yield space_of_profile(bytes(profile), "its ICC profile")
