"""A JPEG or PNG file as upright 8-bit sRGB pixels: the first step of every inference."""

from __future__ import annotations

import io
import logging
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from compile.support.errors import PhotoError

MIN_SIDE = 32
"""Pixels: the network halves its input five times."""

_FORMATS = ("JPEG", "PNG")
_WIDE_GREY = ("I;16", "I;16L", "I;16B", "I")
# What Pillow's decoders raise on damaged files: PNG's chunks alone have three.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError)

_log = logging.getLogger(__name__)


def read_photo(path: str | Path) -> np.ndarray:
    """Read a photograph of any size as uint8 [H, W, 3], sRGB, upright.

    - The EXIF orientation is applied.
    - An embedded ICC profile is converted to sRGB (relative colorimetric); a broken profile is
      ignored with a warning. Without a profile the values are taken for sRGB, CMYK for
      Pillow's plain conversion.
    - Greyscale and palettes become three channels; 16 bits become 8.
    - Transparency is composited over black: where there is no picture there is no light, and the
      network must not turn a paper-white surround into highlights.
    - Of an animation or a multi-picture file, the first picture.

    Raises:
        PhotoError: missing or unreadable, neither JPEG nor PNG, truncated or damaged, too many
            pixels to decode safely, or below 32 pixels on a side.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise PhotoError(f"{path} does not exist; check the photograph's name") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PhotoError(f"{path} cannot be read ({reason}); name a readable file") from error

    image = _decode(path, data)
    if min(image.size) < MIN_SIDE:
        width, height = image.size
        raise PhotoError(
            f"{path} is {width}x{height} pixels; take a photograph of at least "
            f"{MIN_SIDE} pixels on each side"
        )
    return np.array(_to_srgb(path, _upright(path, image)), dtype=np.uint8)


def _decode(path: Path, data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Large panoramas are welcome; what Pillow refuses outright is reported below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # unreadable EXIF tags
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        # A file cut within its header is "unidentified" to Pillow, though its first bytes tell.
        if data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
            raise _damaged(path) from error
        remedy = "convert the photograph to one of them" if data else "copy the photograph again"
        what = "is not a JPEG or PNG picture" if data else "is empty"
        raise PhotoError(f"{path} {what}; {remedy}") from error
    except Image.DecompressionBombError as error:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise PhotoError(
            f"{path} has more than the {limit:,} pixels that can be read; scale it down first"
        ) from error
    except _DAMAGE as error:
        raise _damaged(path) from error
    try:
        image.load()
    except _DAMAGE as error:
        raise _damaged(path) from error
    if image.format in ("JPEG", "MPO") and not _has_end_of_image(data):
        raise _damaged(path)
    return image


def _damaged(path: Path) -> PhotoError:
    return PhotoError(f"{path} is truncated or damaged; copy or download the photograph again")


def _has_end_of_image(data: bytes) -> bool:
    """Whether a JPEG's scan is followed by the end marker FF D9 (ITU-T T.81, B.1.1).

    A download that was broken off in a preallocated file ends in zeros, which libjpeg decodes
    to grey or noise without a word. Segments before the scan are stepped over by their length,
    since a thumbnail in one of them has an end marker of its own.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) >= 0
    return False


def _upright(path: Path, image: Image.Image) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # unreadable EXIF tags
            return ImageOps.exif_transpose(image)
    except (*_DAMAGE, KeyError, TypeError, struct.error) as error:
        _log.warning("%s: its EXIF block is malformed (%s), orientation not applied", path, error)
        return image


def _to_srgb(path: Path, image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode in _WIDE_GREY:
        wide = np.clip(np.asarray(image, dtype=np.int64), 0, 65535)
        image = Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if image.mode in ("1", "LA", "La") else "RGB")
    if profile:
        image = _apply_profile(path, image, profile)
    image = image.convert("RGB")
    if alpha is not None:
        image = Image.composite(image, Image.new("RGB", image.size), alpha)
    return image


def _apply_profile(path: Path, image: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        # lcms would move some values of an sRGB picture by one in converting sRGB to sRGB.
        if ImageCms.getProfileDescription(source).startswith("sRGB"):
            return image
        if image.mode == "RGB" and source.profile.xcolor_space.strip() == "GRAY":
            image = image.convert("L")  # a grey PNG with transparency came through RGBA
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
        assert converted is not None  # which is what a conversion in place returns
        return converted
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        _log.warning("%s: its colour profile is unusable (%s), taken for sRGB", path, error)
        return image
