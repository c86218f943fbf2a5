"""An AVIF file for every screen with a gain map behind its picture, which HDR screens apply.

ISO/IEC 23008-12, amendment on tone-mapped derived images ("tmap"), whose body is ISO 21496-1's, as
libavif reads it from version 1.2 on.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compile.imaging.avif_boxes import ITEM_LAYOUT, box, boxes, moved_image, parts_of
from compile.imaging.avif_light_level import light_level, light_level_box, nits_of
from compile.imaging.base_photo import BasePhoto
from compile.imaging.carry_exif import exif_tiff
from compile.imaging.gain_map import make_gain_map
from compile.imaging.gain_map_metadata import iso_metadata
from compile.imaging.gamuts import BT2020, P3, SRGB, Gamut
from compile.imaging.tone_map import tone_map

_MAP_QUALITY = 90
# ITU-T H.273: primaries, transfer and matrix.
_PRIMARIES = {SRGB: 1, P3: 12, BT2020: 9}
_UNSPECIFIED, _SRGB_CURVE, _PQ = 2, 13, 16
_BT709_MATRIX, _BT601_MATRIX = 1, 6

_BASE, _SHOWN, _MAP, _EXIF = 1, 2, 3, 4
_HIDDEN, _ESSENTIAL = 1, 0x80
_VERSION_OF_TMAP = b"\0"


@dataclass(frozen=True)
class _Item:
    """What a file says of one item, and its bytes.

    Attributes:
        number: in the file.
        kind: four letters.
        data: its bytes.
        properties: whole boxes, each with whether a reader has to know it.
        flags: of its entry.
    """

    number: int
    kind: bytes
    data: bytes
    properties: tuple[tuple[bytes, bool], ...] = ()
    flags: int = 0


def encode_gain_map_avif(
    linear: NDArray[np.floating],
    photo: BasePhoto | None,
    exif: Image.Exif | None,
    quality: int,
    speed: int,
    gamut: Gamut = SRGB,
) -> bytes:
    """AVIF bytes of relative light, float32 [H, W, 3], linear in ``gamut``, 1 = white.

    Args:
        photo: what other screens show; a tone-mapped picture unless given. It is encoded anew in 8
            bits, 4:4:4, full range.
        exif: of the base.
        quality: of the base, 0 to 100.
        speed: of both pictures, 0 (slowest, smallest) to 10.
    """
    pixels = tone_map(linear) if photo is None else photo.pixels
    codes = _PRIMARIES[gamut], _SRGB_CURVE, _BT709_MATRIX
    base = _encoded(pixels, quality, speed, codes)
    gains = make_gain_map(linear, imagecodecs.avif_decode(base))
    codes_of_map = _UNSPECIFIED, _UNSPECIFIED, _BT601_MATRIX
    gain_map = _encoded(gains.codes, _MAP_QUALITY, speed, codes_of_map)
    (base_item, kinds), (map_item, _) = _image(base, _BASE), _image(gain_map, _MAP, _HIDDEN)
    sizes = tuple(one for one in base_item.properties if one[0][4:8] == b"ispe")
    bits = struct.pack(">IB3B", 0, 3, 10, 10, 10)
    shown = _Item(
        _SHOWN,
        b"tmap",
        _VERSION_OF_TMAP + iso_metadata(gains),
        (
            *sizes,
            (box(b"pixi", bits), False),
            (_colours(_PRIMARIES[gamut], _PQ, _BT709_MATRIX), False),
            (light_level_box(*light_level(nits_of(linear, gamut))), False),
        ),
    )
    items = [base_item, shown, map_item]
    if exif is not None:
        items.append(_Item(_EXIF, b"Exif", struct.pack(">I", 0) + exif_tiff(exif)))
    return _file(kinds + b"tmap", items)


def _encoded(
    pixels: NDArray[np.uint8], quality: int, speed: int, codes: tuple[int, int, int]
) -> bytes:
    primaries, transfer, matrix = codes
    return bytes(
        imagecodecs.avif_encode(
            np.ascontiguousarray(pixels),
            level=quality,
            speed=speed,
            bitspersample=8,
            pixelformat="444",
            primaries=primaries,
            transfer=transfer,
            matrix=matrix,
        )
    )


def _colours(primaries: int, transfer: int, matrix: int) -> bytes:
    full_range = 0x80
    body = b"nclx" + struct.pack(">HHHB", primaries, transfer, matrix, full_range)
    return box(b"colr", body)


def _image(avif: bytes, number: int, flags: int = 0) -> tuple[_Item, bytes]:
    """The only image of a file that libavif wrote, by another ``number``; and the file's type.

    Raises:
        ValueError: the file is laid out otherwise.
    """
    ftyp, meta, data = parts_of(avif)
    described = dict(boxes(meta[4:]))
    moved_image(described[b"iloc"][8:], 0)  # in one piece, or it raises
    parts = dict(boxes(described[b"iprp"]))
    listed = [box(name, body) for name, body in boxes(parts[b"ipco"])]
    used = parts[b"ipma"][11:]
    properties = tuple(
        (listed[(index & ~_ESSENTIAL) - 1], bool(index & _ESSENTIAL)) for index in used
    )
    return _Item(number, b"av01", data, properties, flags), ftyp


def _file(ftyp: bytes, items: list[_Item]) -> bytes:
    """The file of ``items``, of which the shown one is made of base and map."""
    data = b"".join(item.data for item in items)
    head = box(b"ftyp", ftyp)
    # Places have one length whatever they say.
    start = len(head) + len(box(b"meta", _described(items, 0))) + 8
    return head + box(b"meta", _described(items, start)) + box(b"mdat", data)


def _described(items: list[_Item], start: int) -> bytes:
    """The body of the box meta, of items whose bytes follow each other from ``start`` on."""
    entries, places, at = [], [], start
    for item in items:
        entry = struct.pack(">IHH", 2 << 24 | item.flags, item.number, 0) + item.kind + b"\0"
        entries.append(box(b"infe", entry))
        places.append(struct.pack(ITEM_LAYOUT, item.number, 0, 1, at, len(item.data)))
        at += len(item.data)
    count = struct.pack(">H", len(items))
    references = box(b"dimg", struct.pack(">HHHH", _SHOWN, 2, _BASE, _MAP))
    if items[-1].number == _EXIF:
        references += box(b"cdsc", struct.pack(">HHH", _EXIF, 1, _BASE))
    # A reader that knows the first of them takes it in place of the other.
    group = box(b"altr", struct.pack(">5I", 0, len(items) + 1, 2, _SHOWN, _BASE))
    return bytes(4) + b"".join(
        [
            box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
            box(b"pitm", struct.pack(">IH", 0, _BASE)),
            box(b"iloc", bytes(4) + b"\x44\0" + count + b"".join(places)),
            box(b"iinf", bytes(4) + count + b"".join(entries)),
            box(b"iref", bytes(4) + references),
            box(b"iprp", _properties(items)),
            box(b"grpl", group),
        ]
    )


def _properties(items: list[_Item]) -> bytes:
    listed: dict[bytes, int] = {}
    used = []
    for item in (one for one in items if one.properties):
        for body, _ in item.properties:
            listed.setdefault(body, len(listed) + 1)
        places = [listed[body] | _ESSENTIAL * needed for body, needed in item.properties]
        used.append(struct.pack(">HB", item.number, len(places)) + bytes(places))
    return box(b"ipco", b"".join(listed)) + box(
        b"ipma", struct.pack(">II", 0, len(used)) + b"".join(used)
    )
