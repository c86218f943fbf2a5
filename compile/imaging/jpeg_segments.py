"""The segments of a JPEG file (ITU-T T.81, annex B)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\xff\xd8\xff"

APP0, APP1, APP2, APP13 = 0xE0, 0xE1, 0xE2, 0xED
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))

MOST_BYTES = 0xFFFF - 2
"""Of a segment, without its marker and length."""


class Segment(NamedTuple):
    """Where a segment is in a file, from its marker to its end."""

    marker: int
    start: int
    end: int


def segments(data: bytes) -> Iterator[Segment]:
    """The segments up to the first scan; stray bytes are stepped over, and one that is cut off is
    left out."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 4 > len(data):
            return
        marker = data[at + 1]
        if marker in (0x00, 0xFF) or marker in WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == END_OF_IMAGE:
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            return
        yield Segment(marker, at, end)
        if marker == START_OF_SCAN:
            return
        at = end


def first_picture(data: bytes) -> bytes:
    """``data`` up to the end marker of its first picture: what stands behind it are other
    pictures, or nothing that is of one."""
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 2 > len(data):
            return data
        marker = data[at + 1]
        if marker == END_OF_IMAGE:
            return data[: at + 2]
        if marker == 0xFF:
            at += 1
        elif marker == 0x00 or marker in WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def segment(marker: int, body: bytes) -> bytes:
    """The bytes of a segment.

    Raises:
        ValueError: ``body`` is longer than :data:`MOST_BYTES`.
    """
    if len(body) > MOST_BYTES:
        raise ValueError(f"{len(body)} bytes do not fit into a segment of a JPEG file")
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
