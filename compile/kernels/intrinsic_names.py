"""Registers tensor intrinsics by their names: a recorded schedule tells no more of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from compile.kernels.dot_intrinsics import (
    DotTile,
    lanewise_intrinsic,
    tile_intrinsic,
    word_intrinsic,
)
from compile.kernels.dot_products import dot_product_named

_INSTRUCTION = r"mqnet\.(?P<dot>[a-z]+)_"
_WORD = re.compile(rf"{_INSTRUCTION}word_(\d+)x(\d+)")
_LANEWISE = re.compile(rf"{_INSTRUCTION}(\d+)")
_TILE = re.compile(rf"{_INSTRUCTION}(\d+)_(\d+)_(\d+)_(\d+)_(\d+)_(u?int\d+)")
# How long the vectors of an intrinsic are, its name says.
_ANY_WIDTH = 512


def register_intrinsics(names: Iterable[str]) -> None:
    """Register those of ``names`` that are ours; others are TVM's own, or unknown."""
    for name in names:
        for pattern in (_WORD, _LANEWISE, _TILE):
            match = pattern.fullmatch(name)
            if match and (dot := dot_product_named(match["dot"], _ANY_WIDTH)):
                _, *numbers = match.groups()
                if pattern is _WORD:
                    word_intrinsic(dot, *map(int, numbers))
                elif pattern is _LANEWISE:
                    lanewise_intrinsic(dot, int(numbers[0]))
                else:
                    *sizes, dtype = numbers
                    tile_intrinsic(dot, DotTile(*map(int, sizes), dtype))
