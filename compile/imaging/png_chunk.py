"""The chunks that a PNG file is made of (PNG specification, third edition, 5.3)."""

from __future__ import annotations

import struct
import zlib


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """The bytes of a chunk: length, kind, body and checksum."""
    check = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + check
