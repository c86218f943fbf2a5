"""The same in the header of a Matroska file (RFC 9559, 5.1.4.1.28.25 and after)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from compile.video.light_levels import LightLevels

_SEGMENT, _TRACKS, _TRACK, _VIDEO, _COLOUR = (
    bytes.fromhex(one) for one in ("18538067", "1654AE6B", "AE", "E0", "55B0")
)
_MAX_CLL, _MAX_FALL, _MASTERING = (bytes.fromhex(one) for one in ("55BC", "55BD", "55D0"))
# Red, green, blue, white, each x and y; the largest and the smallest luminance.
_MASTERING_NUMBERS = [bytes([0x55, last]) for last in range(0xD1, 0xDB)]


def with_light(header: bytes, levels: LightLevels) -> bytes:
    """Return ``header``, a Matroska file that was written in one go, with ``levels`` in the colour
    of each picture track.

    Raises:
        ValueError: there is none.
    """
    colour = _element(_MAX_CLL, levels.max_cll.to_bytes(2, "big"))
    colour += _element(_MAX_FALL, levels.max_fall.to_bytes(2, "big"))
    numbers = (*levels.primaries, levels.largest, levels.smallest)
    mastering = b"".join(
        _element(name, struct.pack(">d", one))
        for name, one in zip(_MASTERING_NUMBERS, numbers, strict=True)
    )
    colour += _element(_MASTERING, mastering)
    changed = _appended(header, (_SEGMENT, _TRACKS, _TRACK, _VIDEO, _COLOUR), colour)
    if len(changed) == len(header):
        raise ValueError("the header names no colour")
    return changed


def _appended(data: bytes, path: tuple[bytes, ...], added: bytes) -> bytes:
    """With ``added`` at the end of every element that lies at ``path``."""
    if not path:
        return data + added
    parts = []
    for name, body in _elements(data):
        parts.append(_element(name, _appended(body, path[1:], added) if name == path[0] else body))
    return b"".join(parts)


def _elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        # The zeros before the first one say how many bytes follow.
        length = 9 - data[at].bit_length()
        name, at = data[at : at + length], at + length
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length], "big") - (1 << 7 * length)
        at += length
        if size == (1 << 7 * length) - 1:  # Unknown: to the end.
            size = len(data) - at
        yield name, data[at : at + size]
        at += size


def _element(name: bytes, body: bytes) -> bytes:
    return name + (len(body) + (1 << 56)).to_bytes(8, "big") + body
