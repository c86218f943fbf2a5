"""A WebP file's pixels, by libwebp, and what EXIF and ICC say of them."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
from PIL import Image, WebPImagePlugin

from compile.imaging.decoded_photo import DamagedFileError, DecodedPhoto, UnsupportedFileError
from compile.imaging.exif_facts import DAMAGE, exif_orientation, exif_spaces

_RESULT = 6  # bytes of a pixel: RGB, and once more while it is turned


def is_webp(data: bytes) -> bool:
    """Whether it is a WebP file, by its first bytes."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def webp_size(data: bytes) -> tuple[int, int, int]:
    """(height, width, bytes of memory that a pixel needs) of a WebP file.

    Raises:
        DamagedFileError: it is cut off or damaged.
        UnsupportedFileError: Pillow refuses its size.
    """
    image = _opened(data)
    return image.height, image.width, 8 + _RESULT


def decode_webp(data: bytes) -> DecodedPhoto:
    """Decode a WebP file; of an animation the first picture.

    Raises:
        DamagedFileError: libwebp misses data.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # unreadable EXIF tags
        image = _opened(data)
        try:
            image.load()
        except DAMAGE as error:
            raise DamagedFileError(str(error)) from error
        said: list[str] = []
        spaces = tuple(exif_spaces(image, said))
        orientation = exif_orientation(image, said)
    pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGBA"))
    alpha = pixels[..., 3] if pixels.shape[-1] == 4 else None
    return DecodedPhoto(pixels[..., :3], alpha, spaces, orientation, tuple(said))


def webp_exif(data: bytes) -> bytes | None:
    """The EXIF of a file from its TIFF header on, or None."""
    exif = _opened(data).info.get("exif")
    return None if exif is None else exif.removeprefix(b"Exif\0\0")


def _opened(data: bytes) -> Image.Image:
    (length,) = struct.unpack_from("<I", data.ljust(8, b"\0"), 4)
    if length + 8 > len(data):
        raise DamagedFileError("it is cut off")
    try:
        # Not Image.open, which refuses 179 megapixels and more.
        return WebPImagePlugin.WebPImageFile(io.BytesIO(data))
    except Image.DecompressionBombError as error:  # It looks itself, too.
        raise UnsupportedFileError("a WebP picture of more than 178 megapixels") from error
    except DAMAGE as error:
        raise DamagedFileError(str(error)) from error
