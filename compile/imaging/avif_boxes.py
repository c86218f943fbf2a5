"""The boxes of an AVIF file of one image as libavif writes it (ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def parts_of(avif: bytes) -> tuple[bytes, bytes, bytes]:
    """The bodies of its three boxes: type, description, data.

    Raises:
        ValueError: the file is laid out otherwise.
    """
    found = list(boxes(avif))
    if [name for name, _ in found] != [b"ftyp", b"meta", b"mdat"]:
        raise ValueError("the AVIF file has other boxes than ftyp, meta and mdat")
    ftyp, meta, mdat = (body for _, body in found)
    return ftyp, meta, mdat


def box(name: bytes, body: bytes) -> bytes:
    """The bytes of a box."""
    return struct.pack(">I", 8 + len(body)) + name + body


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each box in ``data``.

    Raises:
        ValueError: one has no length of 32 bits, or is longer than ``data``.
    """
    at = 0
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if not 8 <= length <= len(data) - at:
            raise ValueError("the AVIF file has a box of another kind of length")
        yield name, data[at + 8 : at + length]
        at += length


ITEM_LAYOUT = ">HHHII"
"""Of the place of an item in one extent: number, data reference, extents, offset, length."""


def moved_image(entry: bytes, growth: int) -> bytes:
    """The ``entry`` of the only image in a box ``iloc``, whose data are ``growth`` bytes further
    back.

    Raises:
        ValueError: it is another item, or in several pieces.
    """
    number, reference, extents, at, size = struct.unpack(ITEM_LAYOUT, entry)
    if (number, reference, extents) != (1, 0, 1):
        raise ValueError("the AVIF file has another item than one image in one piece")
    return struct.pack(ITEM_LAYOUT, 1, 0, 1, at + growth, size)
