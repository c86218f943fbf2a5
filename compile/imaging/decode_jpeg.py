"""A JPEG file's pixels, by libjpeg-turbo, and what EXIF and ICC say of them."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import warnings

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from compile.imaging.decoded_photo import (
    APPLES_GAIN_MAP,
    GAIN_MAP_IGNORED,
    DamagedFileError,
    DecodedPhoto,
    UnsupportedFileError,
)
from compile.imaging.exif_facts import DAMAGE, exif_orientation, exif_spaces
from compile.imaging.gain_map_metadata import HDRGM, ISO_NAME, XMP_NAME
from compile.imaging.jpeg_segments import (
    APP2,
    END_OF_IMAGE,
    START_OF_SCAN,
    WITHOUT_LENGTH,
    segments,
)

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = (0xC2, 0xCA)
_RESULT = 6  # bytes of a pixel: RGB, and once more while it is turned
# Of a segment: what a scan's data holds are stuffed bytes (FF 00) and restart markers.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_TOO_SPECIAL = (0xC5, 0xC6, 0xCD, 0xCE)
_JPEG_LS = 0xF7
# Padding and stray bytes between segments, which lose nothing. Before a restart marker (D0 to D7)
# they are lost blocks, before a start of image (D8) the rest of a file that was cut off.
_STRAY = re.compile(r"(\d+) extraneous bytes before marker 0x(?!d[0-8])(..)")
_HARMLESS = re.compile(r"Invalid SOS parameters|[Ss]ubsampling")


def jpeg_size(data: bytes) -> tuple[int, int, int]:
    """(height, width, bytes of memory that a pixel needs) of a JPEG file.

    Raises:
        DamagedFileError: it has no frame header.
        UnsupportedFileError: it is of a kind that is not read.
    """
    for marker, start, end in segments(data):
        if marker == _JPEG_LS or marker in _LOSSLESS:
            raise UnsupportedFileError("a lossless JPEG")
        if marker in _TOO_SPECIAL:
            raise UnsupportedFileError("a hierarchical JPEG")
        if marker in _FRAMES:
            if end - start < 10:
                break
            depth, height, width, channels = struct.unpack_from(">BHHB", data, start + 4)
            if depth != 8:
                raise UnsupportedFileError(f"a JPEG of {depth} bits")
            if height == 0:
                raise UnsupportedFileError("a JPEG that tells its height behind its pixels (DNL)")
            if channels not in (1, 3, 4):
                raise UnsupportedFileError(f"a JPEG of {channels} channels")
            progressive = marker in _PROGRESSIVE
            return height, width, 4 + channels + 2 * channels * progressive + _RESULT
    raise DamagedFileError("it has no frame header")


def denominator(height: int, width: int, at_least: tuple[int, int] | None) -> int:
    """1, 2, 4 or 8: how many times smaller :func:`decode_jpeg` decodes a picture."""
    if at_least is None:
        return 1
    most = min(height // at_least[0], width // at_least[1])
    return max(step for step in (1, 2, 4, 8) if step <= max(1, most))


def decode_jpeg(data: bytes, at_least: tuple[int, int] | None = None) -> DecodedPhoto:
    """Decode a JPEG file; of several pictures the first.

    Args:
        at_least: (height, width) as stored that are enough: the picture may come out in 1/2, 1/4
            or 1/8 of its size, which libjpeg decodes in less time and memory.

    Raises:
        DamagedFileError: a decoder misses data or finds what cannot be.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # unreadable EXIF tags
        try:
            # Not Image.open, which refuses 179 megapixels and more.
            image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
            height, width = image.height, image.width
            shrunk = denominator(height, width, at_least) > 1
            pixels = _flawless(data) if image.mode == "RGB" and not shrunk else None
            if pixels is None:
                reason = _damage(data, image.mode)
                if reason:
                    raise DamagedFileError(reason)
                pixels = _pixels(data, image, at_least if shrunk else None)
        except DAMAGE as error:
            raise DamagedFileError(str(error)) from error
        said: list[str] = []
        if _has_gain_map(data):
            said.append(GAIN_MAP_IGNORED)
        if _lacks_scans(data):
            said.append("some of its scans are missing, as of a file that was cut off")
        if not image.info.get("icc_profile") and _has_profile(data):
            said.append("its ICC profile is unusable (a part of it is missing) and ignored")
        spaces = tuple(exif_spaces(image, said))
        orientation = exif_orientation(image, said)
    return DecodedPhoto(pixels, None, spaces, orientation, tuple(said), shrunk)


def _flawless(data: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a file in RGB in which libjpeg-turbo finds nothing to complain of, as in most:
    it need not be read twice."""
    with contextlib.suppress(ValueError):
        return simplejpeg.decode_jpeg(data, "RGB")
    return None


def _pixels(
    data: bytes, image: JpegImagePlugin.JpegImageFile, at_least: tuple[int, int] | None
) -> NDArray[np.uint8]:
    if image.mode == "RGB" and at_least is None:
        # Pillow needs 4 bytes a pixel, and 3 for NumPy beside them; but it passes over stray bytes.
        with contextlib.suppress(ValueError):
            return simplejpeg.decode_jpeg(data, "RGB", strict=False)
    if at_least is not None:
        image.draft(None, (at_least[1], at_least[0]))
    pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)


def _damage(data: bytes, mode: str) -> str | None:
    """Why libjpeg-turbo finds the picture incomplete or contradictory, or None.

    Pillow's decoder passes over libjpeg's warnings, simplejpeg's does not. It says the first
    only, so it gets no segment and no stray byte that it does not need. An eighth of the size
    reads every bit of the file and costs little more than that.
    """
    needed = bytearray(data[:2])
    scan = 0
    for marker, start, end in segments(data):
        if marker == START_OF_SCAN:
            scan = len(needed)
            needed += data[start:]
        elif not 0xE0 <= marker <= 0xFE:  # neither an application's segment nor a comment
            needed += data[start:end]
    colours = "CMYK" if mode == "CMYK" else "GRAY"
    said = _complaint(needed, colours)
    stray = _STRAY.search(said)
    if stray and int(stray[2], 16) == END_OF_IMAGE:
        # Padding, or where the rest of the picture should be? Without it libjpeg sees which.
        end = needed.find(b"\xff\xd9", scan)
        said = _complaint(needed[: end - int(stray[1])] + b"\xff\xd9", colours)
        stray = _STRAY.search(said)
    return None if not said or stray or _HARMLESS.search(said) else said


def _has_gain_map(data: bytes) -> bool:
    """Whether there is a map behind the picture, by Adobe's name or ISO 21496-1's in its own
    segments, or by Apple's anywhere behind them."""
    for _, start, end in segments(data):
        body = data[start + 4 : end]
        if body.startswith(ISO_NAME) or (body.startswith(XMP_NAME) and HDRGM.encode() in body):
            return True
    return APPLES_GAIN_MAP in data


def _has_profile(data: bytes) -> bool:
    return any(
        marker == APP2 and data[start + 4 : start + 16] == b"ICC_PROFILE\0"
        for marker, start, _ in segments(data)
    )


def _lacks_scans(data: bytes) -> bool:
    """Whether a picture of several scans ends before the last bit of each coefficient of each
    component, where libjpeg has no complaint: the file was cut between two scans and has an end
    marker. ITU-T T.81 lets a progressive picture do without, and no known encoder does."""
    start, progressive = -1, False
    missing: dict[tuple[int, int], int] = {}  # Bits, by component and coefficient.
    for marker, at, end in segments(data):
        if marker in _FRAMES:
            progressive = marker in _PROGRESSIVE
            components = data[at + 10 : end : 3]
            missing = {(name, number): 1 for name in components for number in range(64)}
        if marker == START_OF_SCAN:
            start = at
    while start >= 0 and data[start + 1 : start + 2] != bytes([END_OF_IMAGE]):
        marker, length = data[start + 1], int.from_bytes(data[start + 2 : start + 4], "big")
        if marker == START_OF_SCAN and 6 <= length <= len(data) - start - 2:
            count = data[start + 4]
            first, last, bits = data[start + 2 + length - 3 : start + 2 + length]
            if not progressive:  # What else these three say has no meaning.
                first, last, bits = 0, 63, 0
            for component in data[start + 5 : start + 5 + 2 * count : 2]:
                for number in range(first, last + 1):
                    missing[component, number] = bits & 15
        elif marker in WITHOUT_LENGTH or marker in (0x00, 0xFF):
            length = 0
        following = _MARKER.search(data, start + 2 + length)
        start = following.start() if following else -1
    return any(missing.values())


def _complaint(data: bytearray, colours: str) -> str:
    """libjpeg's first warning, or its error, or nothing."""
    try:
        simplejpeg.decode_jpeg(data, colours, min_height=1, min_width=1)
    except ValueError as error:
        return str(error)
    return ""
