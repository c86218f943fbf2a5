"""Registers tensor intrinsics by their names: a recorded schedule tells no more of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable

from compile.kernels.cpu.instructions.arm_parts import join_parts_intrinsic, parts_intrinsic
from compile.kernels.cpu.instructions.arm_smmla import smmla_intrinsic
from compile.kernels.cpu.instructions.dot_intrinsics import (
    DotTile,
    lanewise_intrinsic,
    tile_intrinsic,
    word_intrinsic,
)
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import instruction_named
from compile.kernels.cpu.instructions.planar_intrinsics import (
    interleave_intrinsic,
    planar_steps_intrinsic,
    planar_tile_intrinsic,
    split_groups_intrinsic,
)
from compile.kernels.cpu.instructions.tap_intrinsics import taps_intrinsic

# How long the vectors of an intrinsic are, its name says.
_ANY_WIDTH = 512


class _UnknownInstruction(Exception):
    pass


def _dot(name: str) -> DotProduct:
    dot = instruction_named(name, _ANY_WIDTH)
    if dot is None:
        raise _UnknownInstruction(name)
    return dot


def _planar(dot: DotProduct, channels: int, lanes: int) -> str:
    if dot.steps_together is None:
        return planar_tile_intrinsic(dot, channels, lanes)
    return planar_steps_intrinsic(dot, channels, lanes)


def _taps(dot: DotProduct, rows: int, columns: int, lanes: int) -> str:
    if dot.taps is None:
        raise _UnknownInstruction(dot.name)
    return taps_intrinsic(dot.taps, dot.name, (rows, columns), lanes)


_INTRINSICS: dict[str, Callable[..., str]] = {
    r"([a-z]+)_word_(\d+)x(\d+)": lambda dot, *sizes: word_intrinsic(_dot(dot), *sizes),
    r"([a-z]+)_(\d+)": lambda dot, lanes: lanewise_intrinsic(_dot(dot), lanes),
    r"([a-z]+)_(\d+)_(\d+)_(\d+)_(\d+)_(\d+)_(u?int\d+)": lambda dot, *tile: tile_intrinsic(
        _dot(dot), DotTile(*tile)
    ),
    r"([a-z]+)_planar_(\d+)x(\d+)": lambda dot, *sizes: _planar(_dot(dot), *sizes),
    r"([a-z]+)_taps_(\d+)x(\d+)x(\d+)": lambda dot, *sizes: _taps(_dot(dot), *sizes),
    r"([a-z]+)_parts_(\d+)x(\d+)": lambda dot, *sizes: parts_intrinsic(_dot(dot), *sizes),
    r"join_parts": join_parts_intrinsic,
    r"smmla_(\d+)x(\d+)": smmla_intrinsic,
    r"split_(u?int\d+)_(\d+)x(\d+)x(\d+)": split_groups_intrinsic,
    r"interleave_(\d+)x(\d+)": interleave_intrinsic,
}


def register_intrinsics(names: Iterable[str]) -> None:
    """Register those of ``names`` that are ours; others are TVM's own, or unknown."""
    for name in names:
        for pattern, register in _INTRINSICS.items():
            if match := re.fullmatch(r"mqnet\." + pattern, name):
                with contextlib.suppress(_UnknownInstruction):
                    register(*(int(part) if part.isdigit() else part for part in match.groups()))
