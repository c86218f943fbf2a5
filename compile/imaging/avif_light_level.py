"""How bright an HDR picture is, for screens that make room for it: into an AVIF file, which
imagecodecs does not write there."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from compile.imaging.avif_boxes import box, boxes, moved_image, parts_of
from compile.imaging.brightest_channel import brightest_channel
from compile.imaging.decode_hdr import WHITE_NITS
from compile.imaging.gamuts import Gamut

_MOST = 0xFFFF


def nits_of(linear: NDArray[np.floating], gamut: Gamut) -> NDArray[np.floating]:
    """Light in cd/m2, BT.2020 [..., 3], of relative light in ``gamut``, 1 = white."""
    return np.maximum(gamut.to_bt2020(linear), 0) * WHITE_NITS


def light_level(nits: NDArray[np.floating]) -> tuple[int, int]:
    """MaxCLL and MaxFALL of one picture, cd/m2, of its light [H, W, 3] (CTA-861.3, annex A): the
    largest max(R, G, B), and its mean."""
    brightest = brightest_channel(nits)
    return level_of(float(brightest.max()), float(brightest.mean(dtype=np.float64)))


def level_of(most: float, mean: float) -> tuple[int, int]:
    """The same as whole numbers that fit."""
    return min(round(most), _MOST), min(round(mean), _MOST)


def light_level_box(most: int, mean: int) -> bytes:
    """The property ``clli`` (ISO/IEC 23008-12) of :func:`light_level`."""
    return box(b"clli", struct.pack(">HH", most, mean))


def add_light_level(avif: bytes, most: int, mean: int) -> bytes:
    """Return ``avif``, a file of one image as libavif writes it, with the property
    :func:`light_level_box` of the image.

    Raises:
        ValueError: the file is laid out otherwise.
    """
    ftyp, meta, mdat = parts_of(avif)
    level = light_level_box(most, mean)
    growth = len(level) + 1
    parts = [meta[:4]]
    for name, body in boxes(meta[4:]):
        if name == b"iloc":
            body = _moved(body, growth)
        elif name == b"iprp":
            body = _with_property(body, level)
        parts.append(box(name, body))
    described = b"".join(parts)
    if len(described) != len(meta) + growth:
        raise ValueError("the AVIF file has no properties")
    files = ((b"ftyp", ftyp), (b"meta", described), (b"mdat", mdat))
    return b"".join(box(name, body) for name, body in files)


def _moved(iloc: bytes, growth: int) -> bytes:
    """Offset and length of 4 bytes, of one item in one extent."""
    if iloc[:8] != b"\0\0\0\0\x44\0\0\1":
        raise ValueError("the AVIF file has another layout, or more than one item")
    return iloc[:8] + moved_image(iloc[8:], growth)


def _with_property(iprp: bytes, added: bytes) -> bytes:
    """The properties with one more, which is the item's, too, and may be ignored."""
    (first, listed), (second, used) = boxes(iprp)
    if (first, second) != (b"ipco", b"ipma") or used[:8] != bytes(7) + b"\1":
        raise ValueError("the AVIF file has another layout, or more than one item")
    place = len(list(boxes(listed))) + 1
    item, count, own = used[8:10], used[10], used[11:]
    used = used[:8] + item + bytes([count + 1]) + own + bytes([place])
    return box(first, listed + added) + box(second, used)
