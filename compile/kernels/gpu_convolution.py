"""The schedule of every convolution on a GPU: dense or depthwise, of int8 or float, NHWC.

A work item computes a tile of columns by a vector of channels or more, all of it in registers: the
accumulators, the padding (which is a condition on the load) and the epilogue. It shares nothing
with its neighbours but the cache: what a Mali calls local memory is ordinary memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import s_tir, tirx
from tvm.s_tir.schedule import SBlockRV

from compile.kernels import depthwise, pointwise, spatial_conv, word_conv
from compile.kernels.gpu_unit import GpuUnit, bind_tiles, group_of, vector_length
from compile.kernels.register_loops import accumulate_in_registers, keep_in_registers
from compile.kernels.tiling import divisors, largest_divisor

#: The families whose kernels this schedules; they have the blocks "conv" and "epilogue".
FAMILIES = (word_conv.FAMILY, pointwise.FAMILY, spatial_conv.FAMILY, depthwise.FAMILY)

#: Columns of a tile: with four, a vector of weights is loaded once for four multiplications.
_COLUMNS = 4
_MOST_COLUMNS, _MOST_VECTORS = 8, 4

#: Steps of the innermost reduction loop without a jump.
_STEPS, _MOST_STEPS = 4, 8

#: Registers for addresses and counters.
_ADDRESSES = 8

#: Sizes of a work group that are tried.
_GROUPS = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Choice:
    """How the loops are cut.

    Attributes:
        columns: of a work item's tile.
        vectors, lanes: its channels, in so many vectors.
        steps: of the input channels' loop that are unrolled.
        group: work items of a work group.
    """

    columns: int
    vectors: int
    lanes: int
    steps: int
    group: int


def choices(sch: s_tir.Schedule, unit: GpuUnit) -> list[Choice]:
    """All that fit the registers and the work group and are worth a try."""
    columns, channels = _extents(sch)
    lanes = vector_length(channels, unit.lanes)
    return [
        Choice(tile, vectors, lanes, steps, group)
        for tile in divisors(columns, _MOST_COLUMNS)
        for vectors in divisors(channels // lanes, _MOST_VECTORS)
        if _registers(tile, vectors, lanes) <= unit.registers
        for steps in divisors(_innermost_reduction(sch), _MOST_STEPS)
        for group in _GROUPS
        if group <= unit.work_group
    ]


def builtin_choice(sch: s_tir.Schedule, unit: GpuUnit) -> Choice:
    """One vector of channels by a few columns: its registers let as many work items run as the GPU
    can, and what a tile loads is shared through the cache."""
    columns, channels = _extents(sch)
    lanes = vector_length(channels, unit.lanes)
    fitting = [n for n in range(1, _COLUMNS + 1) if _registers(n, 1, lanes) <= unit.registers]
    tile = largest_divisor(columns, max(fitting, default=1))
    steps = largest_divisor(_innermost_reduction(sch), _STEPS)
    return Choice(tile, 1, lanes, steps, unit.group)


def schedule(sch: s_tir.Schedule, unit: GpuUnit, choice: Choice | None = None) -> None:
    """Tiles to work items; cut by the built-in choice unless another one is given."""
    choice = choice or builtin_choice(sch, unit)
    conv = sch.get_sblock("conv")
    last = _inline_neighbours(sch, conv)
    *_, row, column, channel = sch.get_loops(last)
    outer_column, column = sch.split(column, [None, choice.columns])
    outer_channel, vector, lane = sch.split(channel, [None, choice.vectors, choice.lanes])
    sch.reorder(row, outer_column, outer_channel, column, vector, lane)
    tiles = [int(sch.get(loop).extent) for loop in (outer_column, outer_channel)]
    group = group_of(*tiles, min(choice.group, unit.work_group))
    tile = bind_tiles(sch, row, outer_column, outer_channel, group)
    sch.compute_at(conv, tile, preserve_unit_loops=True)
    keep_in_registers(sch, [column, vector], lane)
    sch.set_scope(conv, 0, "local")

    loops, reductions = sch.get_loops(conv), len(_reductions(sch, conv))
    *_, column, channel = loops[:-reductions]
    *window, k = loops[-reductions:]
    step, inner = sch.split(k, [None, choice.steps])
    accumulate_in_registers(sch, conv, [column], channel, [*window, step, inner], choice.lanes)
    sch.unroll(inner)


def _inline_neighbours(sch: s_tir.Schedule, conv: SBlockRV) -> SBlockRV:
    """Inline the blocks before ``conv`` (padding, normalization) into its loads, and those behind
    it into the last one, which is returned."""
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    place = next(n for n, block in enumerate(blocks) if sch.get(block).same_as(sch.get(conv)))
    for block in [*blocks[:place], *blocks[place + 1 : -1]]:
        sch.compute_inline(block)
    return blocks[-1]


def _extents(sch: s_tir.Schedule) -> tuple[int, int]:
    """(columns, channels) of the result."""
    last = sch.get(sch.get_child_blocks(sch.get_sblock("root"))[-1])
    *_, columns, channels = (int(axis.dom.extent) for axis in last.iter_vars)
    return columns, channels


def _reductions(sch: s_tir.Schedule, conv: SBlockRV) -> list[int]:
    """Extents of the loops that are summed over."""
    axes = sch.get(conv).iter_vars
    kinds = [axis for axis in axes if axis.iter_type == tirx.IterVar.CommReduce]
    return [int(axis.dom.extent) for axis in kinds]


def _innermost_reduction(sch: s_tir.Schedule) -> int:
    return _reductions(sch, sch.get_sblock("conv"))[-1]


def _registers(columns: int, vectors: int, lanes: int) -> int:
    """Accumulators, a step's weights and data, and what addresses take."""
    return columns * vectors * lanes + vectors * lanes + columns + _ADDRESSES
