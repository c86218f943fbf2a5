"""Where the tiles of a picture lie: each owns a part of it, and reads pixels around that part.

A tile at the picture's edge ends there, so that a convolution pads it where it would pad the
picture, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Span:
    """Rows or columns of a tile, in pixels of the picture.

    Attributes:
        start: the first one that it reads.
        first, end: those that it owns; ``end`` is behind the last one.
    """

    start: int
    first: int
    end: int


@dataclass(frozen=True)
class Tile:
    """Its rows and its columns."""

    rows: Span
    columns: Span


def spans(extent: int, size: int, halo: int) -> list[Span]:
    """Cover ``extent`` pixels by spans of ``size``, which own each pixel once and read ``halo``
    pixels around what they own, but beyond the first and the last pixel; all are multiples of the
    network's stride, and ``size`` is more than two halos."""
    found: list[Span] = []
    end = 0
    while end < extent:
        start = min(max(0, end - halo), extent - size)
        first, end = end, extent if start + size == extent else start + size - halo
        found.append(Span(start, first, end))
    return found


def tiles(picture: tuple[int, int], size: tuple[int, int], halo: int) -> list[Tile]:
    """Cover a ``picture`` of so many rows and columns, row by row, by tiles of ``size``."""
    rows, columns = (spans(*of, halo) for of in zip(picture, size, strict=True))
    return [Tile(*pair) for pair in product(rows, columns)]
