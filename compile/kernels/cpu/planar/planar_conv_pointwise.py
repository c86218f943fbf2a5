"""KxK convolution of int8 to planes, InstanceNorm's multiply-add, and the 1x1 convolution behind
it, in one loop over the rows: the schedule of kernels that operator fusion makes of the three.

The planes between them, twelve float32 of the picture's size in MQNet, are never in memory: a step
computes a few vectors of pixels of all planes, and the 1x1 convolution reads them from the level 1
cache. InstanceNorm's statistics need the planes before, so they are computed twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import s_tir
from tvm.s_tir.schedule import SBlockRV

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.register_loops import keep_in_registers
from compile.kernels.common.tiling import (
    divisors,
    even_lanes,
    largest_divisor,
    row_blocks,
    rows_per_task,
)
from compile.kernels.cpu.fused_neighbours import place_neighbours
from compile.kernels.cpu.int8.int8_loops import take_annotations
from compile.kernels.cpu.planar.planar_conv import (
    PlanarSizes,
    best_tile,
    make_operand,
    multiply_tile,
    part_from_border,
    planar_sizes,
    register_tiles,
    unroll_tile,
)
from compile.kernels.cpu.planar.planar_pointwise import MOST_BYTES, vectors_at_a_time
from compile.kernels.family import KernelFamily


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        channels, vectors: of the KxK convolution's register tile: so many channels by vectors of
            pixels.
        tiles: of pixels that a step computes, for all channels, before the 1x1 convolution reads
            them.
        rows: that one task takes.
    """

    channels: int
    vectors: int
    tiles: int
    rows: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    sizes = planar_sizes(sch, core)
    return [
        Configuration(channels, vectors, tiles, rows)
        for channels, vectors in register_tiles(sizes, core.registers)
        for tiles in divisors(sizes.columns // (vectors * sizes.lanes), _most_tiles(vectors, sizes))
        for rows in row_blocks(sizes.rows, core)
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The best tile of the convolution of those whose step stays on the stack, and as many of
    them."""
    sizes = planar_sizes(sch, core)
    channels, vectors = best_tile(sizes, core, max(1, _most_tiles(1, sizes)))
    columns = sizes.columns // (vectors * sizes.lanes)
    tiles = largest_divisor(columns, _most_tiles(vectors, sizes))
    return Configuration(channels, vectors, tiles, rows_per_task(sizes.rows, core))


def _most_tiles(vectors: int, sizes: PlanarSizes) -> int:
    """Tiles of ``vectors`` of pixels whose planes stay on the stack: one at least."""
    return max(1, MOST_BYTES // (sizes.channels * vectors * sizes.lanes * 4))


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows to threads; in a row a few tiles of pixels at a time, first of the convolution, then of
    the 1x1 convolution; cut by the default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    sizes = planar_sizes(sch, core)
    conv, planes, operand = (sch.get_sblock(name) for name in ("conv", "epilogue", "operand"))
    pointwise, result = (sch.get_sblock(name) for name in ("conv1", "epilogue1"))
    take_annotations(sch, conv)
    sch.compute_inline(sch.get_sblock("normalize"))

    pixels = configuration.tiles * configuration.vectors * sizes.lanes
    _, row, channel, column = sch.get_loops(result)
    task, row = sch.split(row, [None, configuration.rows])
    step, column = sch.split(column, [None, pixels])
    sch.reorder(task, row, step, channel, column)
    lanes = _place_pointwise(sch, pointwise, result, core)
    sch.compute_at(planes, step, preserve_unit_loops=True)

    *_, channel, column = sch.get_loops(planes)
    outer_channel, channel = sch.split(channel, [None, configuration.channels])
    outer_column, column = sch.split(column, [None, configuration.vectors * sizes.lanes])
    sch.reorder(outer_column, outer_channel, channel, column)
    sch.compute_at(conv, outer_channel, preserve_unit_loops=True)
    make_operand(sch, operand, task, sizes, core)
    sch.parallel(task)
    unroll_tile(sch, planes, sizes.lanes)
    place_neighbours(sch, row, core)
    multiply_tile(sch, conv, configuration.channels, sizes)
    _multiply_planes(sch, pointwise, lanes)
    part_from_border(sch)


def _place_pointwise(
    sch: s_tir.Schedule, pointwise: SBlockRV, result: SBlockRV, core: CpuCore
) -> int:
    """Cut the 1x1 convolution of a step: a few vectors of pixels at a time, for all channels;
    return the lanes of a vector."""
    *_, channel, column = sch.get_loops(result)
    channels, pixels = (int(sch.get(loop).extent) for loop in (channel, column))
    lanes = even_lanes(pixels, core.lanes)
    vectors = largest_divisor(pixels // lanes, vectors_at_a_time(channels, lanes, core))
    outer, vector, lane = sch.split(column, [None, vectors, lanes])
    sch.reorder(outer, channel, vector, lane)
    sch.compute_at(pointwise, outer, preserve_unit_loops=True)
    keep_in_registers(sch, [channel, vector], lane)
    return lanes


def _multiply_planes(sch: s_tir.Schedule, pointwise: SBlockRV, lanes: int) -> None:
    """Keep the 1x1 convolution's sums in registers."""
    *_, channel, column, k = sch.get_loops(pointwise)
    vector, lane = sch.split(column, [None, lanes])
    sch.reorder(k, channel, vector, lane)
    sch.unroll(k)
    keep_in_registers(sch, [channel, vector], lane)
    sch.decompose_reduction(pointwise, k)
    sch.vectorize(sch.get_loops(sch.get_sblock("wide"))[-1])


FAMILY = KernelFamily(
    "planar_conv_pointwise",
    "3x3 and 1x1 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
)
