"""Tile sizes from loop extents and the target's vector registers."""

from __future__ import annotations

from dataclasses import dataclass

from compile.kernels.common.core_model import CpuCore

#: Loop iterations below which a thread's share does not pay for waking it.
_TASKS_PER_THREAD = 4

#: More pixels in a register tile than this save hardly a load, but make remainders and code.
MOST_PIXELS = 8


def largest_divisor(extent: int, limit: int) -> int:
    """The largest divisor of ``extent`` that is no greater than ``limit`` (at least 1)."""
    return divisors(extent, limit)[-1]


def divisors(extent: int, limit: int) -> list[int]:
    """The divisors of ``extent`` that are no greater than ``limit``, upwards from 1."""
    return [d for d in range(1, max(1, min(extent, limit)) + 1) if extent % d == 0]


@dataclass(frozen=True)
class RegisterTile:
    """The accumulators that stay in registers: ``pixels`` x ``vectors`` vectors of ``lanes``."""

    pixels: int
    vectors: int
    lanes: int


def vector_lanes(channels: int, core: CpuCore) -> int:
    """32-bit lanes of the vectors that ``channels`` are cut into."""
    return even_lanes(channels, core.lanes)


def even_lanes(extent: int, limit: int) -> int:
    """The vector length, at most ``limit`` (a power of two), that ``extent`` is cut into.

    A power of two, since LLVM takes any other width apart again; only an extent that has no
    factor 4 is one odd vector (or odd pieces).
    """
    lanes = limit
    while lanes > 4 and extent % lanes:
        lanes //= 2
    return lanes if extent % lanes == 0 else largest_divisor(extent, limit)


def register_tile(pixels: int, channels: int, core: CpuCore) -> RegisterTile:
    """The accumulator tile for ``pixels`` x ``channels``, dividing both.

    Half of the registers hold accumulators; the others hold the weights of a step and the
    broadcast data. The tile with the most multiplies per loaded register wins: m * n / (m + n)
    for m pixels by n vectors.
    """
    lanes = vector_lanes(channels, core)
    budget = core.registers // 2
    tiles = []
    for vectors in range(1, budget + 1):
        if (channels // lanes) % vectors == 0:
            tile_pixels = largest_divisor(pixels, min(budget // vectors, MOST_PIXELS))
            tiles.append(RegisterTile(tile_pixels, vectors, lanes))
    return max(tiles, key=lambda t: t.pixels * t.vectors / (t.pixels + t.vectors))


def register_tiles(pixels: int, channels: int, core: CpuCore) -> list[RegisterTile]:
    """Every tile worth a try: it divides both, and its accumulators fit the registers."""
    widest = vector_lanes(channels, core)
    return [
        RegisterTile(tile_pixels, vectors, lanes)
        for lanes in sorted({widest, even_lanes(channels, max(1, widest // 2))})
        for vectors in divisors(channels // lanes, core.registers)
        for tile_pixels in divisors(pixels, min(core.registers // vectors, 2 * MOST_PIXELS))
    ]


def column_tile(pixels: int, channels: int, core: CpuCore) -> RegisterTile:
    """The tile for a kernel without a broadcast operand (depthwise): one vector of channels over
    many pixels, so that its weights are loaded once for all of them."""
    return RegisterTile(largest_divisor(pixels, MOST_PIXELS), 1, vector_lanes(channels, core))


def rows_per_task(rows: int, core: CpuCore, limit: int = 8) -> int:
    """Rows of the feature map that one parallel task takes: many, so that the overlap of
    neighbouring windows is padded once, but enough tasks for every thread."""
    return largest_divisor(rows, min(limit, max(1, rows // (core.threads * _TASKS_PER_THREAD))))


def row_blocks(rows: int, core: CpuCore) -> list[int]:
    """Every number of rows per task that leaves a task for every thread."""
    return divisors(rows, max(1, rows // core.threads))


def pixels_per_task(
    rows: int, columns: int, tile_columns: int, pixel_bytes: int, core: CpuCore
) -> tuple[int, int]:
    """The block of (rows, columns) that one parallel task takes: as many pixels of ``pixel_bytes``
    as fit half of the level 1 cache, but enough tasks for every thread; whole rows where there is
    room for one, else whole tiles of ``tile_columns``."""
    fitting = core.l1d_bytes // 2 // pixel_bytes
    pixels = min(fitting, rows * columns // (core.threads * _TASKS_PER_THREAD))
    if pixels >= columns:
        return largest_divisor(rows, pixels // columns), columns
    tiles = largest_divisor(columns // tile_columns, pixels // tile_columns)
    return 1, tiles * tile_columns


def pixel_blocks(
    rows: int, columns: int, tile_columns: int, core: CpuCore
) -> list[tuple[int, int]]:
    """Blocks of (rows, columns) for one task, from one tile to a thread's share of the feature map,
    each about twice the one before."""
    most = max(tile_columns, rows * columns // core.threads)
    blocks = []
    pixels = tile_columns
    while pixels <= most:
        if pixels >= columns:
            blocks.append((largest_divisor(rows, pixels // columns), columns))
        else:
            tiles = largest_divisor(columns // tile_columns, pixels // tile_columns)
            blocks.append((1, tiles * tile_columns))
        pixels *= 2
    return list(dict.fromkeys(blocks))
