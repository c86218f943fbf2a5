"""What an HDR10 stream says of its light, into packets that were made before it was known.

HEVC has SEI messages (ITU-T H.265, D.2.28 and D.2.35), AV1 metadata OBUs (AV1, 5.8.3 and 5.8.4),
each before the first picture data of a packet that decoding can start at.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping

from compile.video.light_levels import LightLevels

# H.265, table 7-1 and D.2.1
_PREFIX_SEI, _LAST_PICTURE_NAL = 39, 31
_MASTERING_SEI, _LIGHT_SEI = 137, 144
_START = re.compile(b"\0*\0\0\1")
_CONFUSED = re.compile(rb"\0\0(?=[\0-\3])")
# AV1, 6.2.2 and 6.7.1
_METADATA_OBU, _PICTURE_OBUS = 5, (3, 4, 6, 7)
_LIGHT_OBU, _MASTERING_OBU = 1, 2


def container_packet(codec: str, packet: bytes, levels: LightLevels | None) -> bytes:
    """Return ``packet``, of "hevc" (Annex B) or "av1" (OBUs), as containers hold it; with
    ``levels`` where they are given.

    Raises:
        ValueError: there is no picture in it.
    """
    return _WRITERS[codec](packet, levels)


def _hevc(packet: bytes, levels: LightLevels | None) -> bytes:
    """Each unit behind its length of four bytes, as the header says that it is."""
    units = [unit for unit in _START.split(packet) if unit]
    pictures = [at for at, unit in enumerate(units) if _kind(unit) <= _LAST_PICTURE_NAL]
    if not pictures:
        raise ValueError("a packet of HEVC without a picture")
    if levels is not None:
        units[pictures[0] : pictures[0]] = _messages_of_hevc(levels)
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def _kind(unit: bytes) -> int:
    return (unit[0] >> 1) & 0x3F


def _messages_of_hevc(levels: LightLevels) -> list[bytes]:
    red, green, blue, white = _points(levels, 50000)
    light = (round(levels.largest * 10000), round(levels.smallest * 10000))
    mastering = struct.pack(">8H2I", *green, *blue, *red, *white, *light)
    content = struct.pack(">2H", levels.max_cll, levels.max_fall)
    return [
        bytes([_PREFIX_SEI << 1, 1]) + _unconfused(bytes([kind, len(body)]) + body)
        for kind, body in ((_MASTERING_SEI, mastering), (_LIGHT_SEI, content))
    ]


def _unconfused(payload: bytes) -> bytes:
    """With what ends it, and nothing in it that looks like a start code (7.3.1.1)."""
    return _CONFUSED.sub(b"\0\0\3", payload + b"\x80")


def _av1(packet: bytes, levels: LightLevels | None) -> bytes:
    if levels is None:
        return packet
    for start, kind in _obus(packet):
        if kind in _PICTURE_OBUS:
            return packet[:start] + _messages_of_av1(levels) + packet[start:]
    raise ValueError("a packet of AV1 without a picture")


def _messages_of_av1(levels: LightLevels) -> bytes:
    points = [one for point in _points(levels, 65536) for one in point]
    light = (round(levels.largest * 256), round(levels.smallest * 16384))
    mastering = struct.pack(">8H2I", *points, *light)
    content = struct.pack(">2H", levels.max_cll, levels.max_fall)
    bodies = (bytes([_MASTERING_OBU]) + mastering, bytes([_LIGHT_OBU]) + content)
    # The second bit of the first byte says that the size follows.
    return b"".join(
        bytes([_METADATA_OBU << 3 | 2, len(body) + 1]) + body + b"\x80" for body in bodies
    )


def _obus(packet: bytes) -> Iterator[tuple[int, int]]:
    """Where each begins, and its type."""
    at = 0
    while at < len(packet):
        head = packet[at]
        yield at, (head >> 3) & 15
        place = at + (2 if head & 4 else 1)
        if not head & 2:  # No size: it is the last one.
            return
        size = shift = 0
        more = True
        while more:
            size |= (packet[place] & 127) << shift
            more, shift, place = packet[place] >= 128, shift + 7, place + 1
        at = place + size


def _points(levels: LightLevels, unit: int) -> list[tuple[int, int]]:
    """Red, green, blue and white, x and y in ``unit``ths."""
    numbers = [min(round(one * unit), 0xFFFF) for one in levels.primaries]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


_WRITERS: Mapping[str, Callable[[bytes, LightLevels | None], bytes]] = {"hevc": _hevc, "av1": _av1}
