"""EXIF into an AVIF file, which imagecodecs does not write and Pillow writes with 8 bits only."""

from __future__ import annotations

import struct

from compile.imaging.avif_boxes import ITEM_LAYOUT, box, boxes, moved_image, parts_of

_EXIF_ITEM = 2


def add_exif(avif: bytes, tiff: bytes) -> bytes:
    """Return ``avif``, a file of one image as libavif writes it, with an Exif item that describes
    the image (ISO/IEC 23008-12, annex A).

    Args:
        avif: the file.
        tiff: EXIF from its TIFF header on.

    Raises:
        ValueError: the file is laid out otherwise.
    """
    ftyp, meta, mdat = parts_of(avif)
    # Offsets are those of the file, and change by as much as the box before the data grows.
    growth = len(_described(meta, 0, 0, 0)) - len(meta)
    item = struct.pack(">I", 0) + tiff
    at = len(avif) + growth + 8
    described = _described(meta, growth, at, len(item))
    parts = ((b"ftyp", ftyp), (b"meta", described), (b"mdat", mdat), (b"mdat", item))
    return b"".join(box(name, body) for name, body in parts)


def _described(meta: bytes, growth: int, offset: int, length: int) -> bytes:
    """The body of a meta box with the Exif item, whose bytes are at ``offset`` of the file."""
    parts = [meta[:4]]
    for name, body in boxes(meta[4:]):
        if name == b"iloc":
            body = _located(body, growth, offset, length)
        elif name == b"iinf":
            entry = struct.pack(">IHH", 2 << 24, _EXIF_ITEM, 0) + b"ExifExif\0"
            body = _counted(body, b"\0\0\0\0", b"\0\x01") + box(b"infe", entry)
        elif name == b"iref":
            raise ValueError("the AVIF file has references already")
        parts.append(box(name, body))
        if name == b"iinf":
            reference = box(b"cdsc", struct.pack(">HHH", _EXIF_ITEM, 1, 1))
            parts.append(box(b"iref", bytes(4) + reference))
    return b"".join(parts)


def _located(iloc: bytes, growth: int, offset: int, length: int) -> bytes:
    """Offsets and lengths of 4 bytes, of one item in one extent, and of the Exif item."""
    entries = _counted(iloc[:8], b"\0\0\0\0\x44\0", b"\0\x01")
    exif = struct.pack(ITEM_LAYOUT, _EXIF_ITEM, 0, 1, offset, length)
    return entries + moved_image(iloc[8:], growth) + exif


def _counted(body: bytes, before: bytes, count: bytes) -> bytes:
    """``body`` of a box that counts one entry behind ``before``, with two."""
    start = before + count
    if not body.startswith(start):
        raise ValueError("the AVIF file has another layout, or more than one item")
    return before + b"\0\x02" + body[len(start) :]
