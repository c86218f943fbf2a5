"""A JPEG file for every screen with a gain map behind it, which HDR screens apply: Ultra HDR.

The base picture says by XMP and by ISO 21496-1 that there is a map, and by a Multi-Picture Format
index (CIPA DC-007) where it is in the file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import imagecodecs
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from compile.imaging.base_photo import BasePhoto
from compile.imaging.gain_map import GainMap, make_gain_map
from compile.imaging.gain_map_metadata import (
    ISO_NAME,
    XMP_NAME,
    add_description,
    iso_metadata,
    iso_of_base,
    packet,
    xmp_of_base,
    xmp_of_map,
)
from compile.imaging.gamuts import SRGB, Gamut
from compile.imaging.jpeg_segments import (
    APP0,
    APP1,
    APP2,
    APP13,
    MOST_BYTES,
    Segment,
    segment,
    segments,
)
from compile.imaging.tone_map import tone_map

_EXIF, _MPF = b"Exif\0\0", b"MPF\0"
_PROFILE = b"ICC_PROFILE\0"
_MAP_QUALITY = 90
_PRIMARY = 0x030000  # CIPA DC-007, 5.2.3.3.1: the type of an MP entry


def encode_ultra_hdr(
    linear: np.ndarray,
    photo: BasePhoto | None,
    exif: Image.Exif | None,
    quality: int,
    keeps_words: bool,
    gamut: Gamut = SRGB,
) -> bytes:
    """JPEG bytes of relative light, float32 [H, W, 3], linear in ``gamut``, 1 = white.

    Args:
        photo: what other screens show, whose own file is kept as it is if it has one; a tone-mapped
            picture unless given.
        exif: of the base, where it has to be encoded or may not keep what its file says.
        quality: of the base where it has to be encoded, 0 to 100.
        keeps_words: whether the file may keep all that it says beside the pixels.
    """
    if photo is None:
        photo = BasePhoto(tone_map(linear))

    def make(pixels: NDArray[np.uint8]) -> GainMap:
        return make_gain_map(linear, pixels)

    return encode_with_map(make, photo, exif, quality, keeps_words, gamut)


def encode_with_map(
    make_map: Callable[[NDArray[np.uint8]], GainMap],
    photo: BasePhoto,
    exif: Image.Exif | None,
    quality: int,
    keeps_words: bool,
    gamut: Gamut = SRGB,
) -> bytes:
    """JPEG bytes of a photograph with the map that ``make_map`` makes of the pixels that other
    screens show, uint8 [H, W, 3]; the rest as in :func:`encode_ultra_hdr`."""
    base, is_kept = encode_base(photo, exif, quality, keeps_words, gamut)
    pixels = photo.pixels
    if not is_kept:
        pixels = simplejpeg.decode_jpeg(base, "RGB")
    return join_gain_map(base, make_map(pixels))


def encode_base(
    photo: BasePhoto, exif: Image.Exif | None, quality: int, keeps_words: bool, gamut: Gamut
) -> tuple[bytes, bool]:
    """JPEG bytes of what other screens show, as :func:`encode_ultra_hdr` makes them; and whether
    they are the photograph's own, and so its pixels."""
    kept = photo.jpeg
    if kept is not None and gamut is not SRGB and _PROFILE not in kept:
        kept = None  # What is not sRGB by its EXIF alone is taken for it by most readers.
    if kept is None:
        profile = None if gamut is SRGB else gamut.profile
        return _encoded(photo.pixels, quality, exif, profile), False
    return (kept if keeps_words else _without_description(kept, exif)), True


def join_gain_map(base: bytes, gains: GainMap) -> bytes:
    """JPEG bytes of ``base``, a JPEG file, with a map of its gains, which may be smaller."""
    own = [
        segment(APP1, XMP_NAME + packet(xmp_of_map(gains))),
        segment(APP2, ISO_NAME + iso_metadata(gains)),
    ]
    # The same bytes as Pillow's, in less time, in which other threads can run.
    encoded = bytes(imagecodecs.jpeg8_encode(gains.codes, level=_MAP_QUALITY, subsampling="444"))
    gain_map = encoded[:2] + b"".join(own) + encoded[2:]
    return _with_map(base, gain_map)


def _encoded(
    pixels: np.ndarray, quality: int, exif: Image.Exif | None, profile: bytes | None = None
) -> bytes:
    stream = io.BytesIO()
    said: dict[str, Image.Exif | bytes] = {} if exif is None else {"exif": exif}
    if profile is not None:
        said["icc_profile"] = profile
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling="4:4:4", **said)
    return stream.getvalue()


def _with_map(base: bytes, gain_map: bytes) -> bytes:
    """The file of both. What ``base`` says of another map or of other pictures is left out."""
    found = list(segments(base))
    description = xmp_of_base(len(gain_map))
    xmp = packet(description)
    for part in found:
        if _body(base, part).startswith(XMP_NAME):
            merged = add_description(_body(base, part).removeprefix(XMP_NAME), description)
            xmp = merged or xmp
    if len(XMP_NAME + xmp) > MOST_BYTES:
        xmp = packet(description)
    base = _kept(base, lambda part: not _body(base, part).startswith((XMP_NAME, ISO_NAME, _MPF)))
    own = segment(APP1, XMP_NAME + xmp) + segment(APP2, iso_of_base())
    at = _behind_first(base) + len(own)
    base = base[: at - len(own)] + own + base[at - len(own) :]
    length = len(base) + len(segment(APP2, _index(0, 0, 0)))
    # Offsets count from behind the name of the index.
    header = at + 4 + len(_MPF)
    index = segment(APP2, _index(length, len(gain_map), length - header))
    return base[:at] + index + base[at:] + gain_map


def _index(base_bytes: int, map_bytes: int, map_offset: int) -> bytes:
    """The Multi-Picture Format's index of two pictures."""
    entries = struct.pack(">IIIHH", _PRIMARY, base_bytes, 0, 0, 0)
    entries += struct.pack(">IIIHH", 0, map_bytes, map_offset, 0, 0)
    fields = [
        struct.pack(">HHI4s", 0xB000, 7, 4, b"0100"),
        struct.pack(">HHII", 0xB001, 4, 1, 2),
        struct.pack(">HHII", 0xB002, 7, len(entries), 8 + 2 + 3 * 12 + 4),
    ]
    directory = struct.pack(">H", len(fields)) + b"".join(fields) + bytes(4)
    return _MPF + b"MM\0*" + struct.pack(">I", 8) + directory + entries


def _without_description(base: bytes, exif: Image.Exif | None) -> bytes:
    """``base`` with ``exif`` alone in place of what it says of the photograph: its EXIF, XMP and
    IPTC, and comments."""
    comment = 0xFE
    plain = _kept(base, lambda part: part.marker not in (APP1, APP13, comment))
    if exif is None:
        return plain
    body = exif.tobytes()
    body = body if body.startswith(_EXIF) else _EXIF + body
    at = _behind_first(plain)
    return plain[:at] + segment(APP1, body) + plain[at:]


def _kept(data: bytes, wanted: Callable[[Segment], bool]) -> bytes:
    """``data`` without the segments before its scans that are not ``wanted``."""
    at, parts = 0, []
    for part in segments(data):
        if not wanted(part):
            parts.append(data[at : part.start])
            at = part.end
    return b"".join(parts) + data[at:]


def _behind_first(data: bytes) -> int:
    """Where a segment may be put in: behind JFIF's and EXIF's, which have to be first."""
    at = 2
    for part in segments(data):
        is_first = part.marker == APP0 or _body(data, part).startswith(_EXIF)
        if not is_first or part.start != at:
            break
        at = part.end
    return at


def _body(data: bytes, part: Segment) -> bytes:
    return data[part.start + 4 : part.end]
