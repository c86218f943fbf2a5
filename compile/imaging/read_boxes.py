"""The boxes of files that others have written (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def read_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each box in ``data``. The last one may be cut off: whether anything of it is
    needed is found out later.

    Raises:
        ValueError: one is shorter than its header.
        struct.error: the header of one is cut off.
    """
    at = 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = at + length if length else len(data)
        if end < start:
            raise ValueError("a box is shorter than its header")
        yield name, data[start:end]
        at = end
