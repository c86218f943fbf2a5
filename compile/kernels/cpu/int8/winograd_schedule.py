"""How the loops of :mod:`compile.kernels.cpu.int8.winograd_conv` are cut.

Two orders of the multiplications: one number of all tiles after the other, so that its weights are
read once; or half a column of the numbers of some tiles, whose sums are transformed back while they
are in registers. The weights of a column are then read once for every few tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.register_loops import keep_in_registers
from compile.kernels.common.tiling import divisors, even_lanes, largest_divisor
from compile.kernels.cpu.instructions.dot_intrinsics import DotTile
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import annotated_dot_product
from compile.kernels.cpu.int8.int8_loops import (
    DOT_PRODUCT_ATTR,
    MOST_BYTES,
    accumulate_dot_products,
    innermost_blocks,
    take_annotations,
    vectorize_operand,
)
from compile.kernels.cpu.int8.winograd import TAPS
from compile.kernels.family import KernelFamily

#: Numbers of half a column of a tile's.
HALF = TAPS // 2

#: Blocks of the products: of the upper half of a tile's numbers, and of the lower one.
PRODUCTS = "conv", "conv_below"

#: Annotation of the block "rows": channels of each part of the data.
PARTS_ATTR = "mqnet.parts"

#: Tiles that one task of the default configuration takes.
_TILES = 16

#: Tiles in registers of the default configuration, and the most of any: with more accumulators each
#: gets its few products later, and nothing hides the stores between them.
_PIXELS, _MOST_PIXELS, _MOST_VECTORS = 4, 8, 4

#: Output channels of the default register tile.
_CHANNELS = 16

#: Weights that are larger than so many level 2 caches are in memory when the next frame comes.
_CACHES = 4


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        pixels, vectors: tiles and vectors of channels whose accumulators stay in registers.
        rows, columns: tiles that one task takes of each of a dilated convolution's parts.
        numbers: of each of the tiles whose accumulators stay in registers: 1, or half a column,
            which is transformed back where it is.
    """

    pixels: int
    vectors: int
    rows: int
    columns: int
    numbers: int = 1


@dataclass(frozen=True)
class Extents:
    """What a kernel by the Winograd transform is made of.

    Attributes:
        rows, columns: tiles of each of a dilated convolution's parts.
        vectors: of output channels.
        groups: of input channels.
        pairs: the instruction.
        lanes: of its vectors.
    """

    rows: int
    columns: int
    vectors: int
    groups: int
    pairs: DotProduct
    lanes: int


def read_extents(sch: s_tir.Schedule, core: CpuCore) -> Extents:
    """Read them from the products' block."""
    conv = sch.get(sch.get_sblock(PRODUCTS[0]))
    extents = (int(axis.dom.extent) for axis in conv.iter_vars)
    _, _, rows, _, _, columns, channels, k = extents
    pairs = annotated_dot_product(conv.annotations[DOT_PRODUCT_ATTR], core.bits)
    lanes = next(int(read.source.shape[4]) for read in conv.reads if len(read.source.shape) == 6)
    return Extents(rows, columns, channels // lanes, k // pairs.group, pairs, lanes)


def _fits(pixels: int, vectors: int, extents: Extents) -> bool:
    """Whether TVM leaves the accumulators of half a column of numbers to the compiler."""
    return HALF * pixels * vectors * extents.lanes * 4 <= MOST_BYTES


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    extents = read_extents(sch, core)
    most_rows = max(1, extents.rows // core.threads)
    return [
        Configuration(pixels, vectors, rows, columns, numbers)
        for columns in divisors(extents.columns, 4 * _TILES)
        for rows in divisors(extents.rows, min(most_rows, max(1, 4 * _TILES // columns)))
        for pixels in divisors(columns, _MOST_PIXELS)
        for vectors in divisors(extents.vectors, _MOST_VECTORS)
        for numbers in (1, HALF)
        if numbers * pixels * vectors + vectors < core.registers
        if numbers == 1 or _fits(pixels, vectors, extents)
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """Blocks of some sixteen tiles, so that what is made of them stays in the caches, by the
    smallest tile of registers that hides the instruction's latency; larger ones of both where the
    weights come from memory, so that they come less often."""
    extents = read_extents(sch, core)
    channels_in = int(sch.get(sch.get_sblock(PRODUCTS[0])).iter_vars[-1].dom.extent)
    vector_bytes = TAPS * TAPS * channels_in * extents.lanes * 2
    weight_bytes = vector_bytes * extents.vectors
    tiles, channels = _TILES, _CHANNELS
    if weight_bytes > _CACHES * core.l2_bytes:
        tiles, channels = 4 * tiles, 4 * channels
    columns = largest_divisor(extents.columns, tiles)
    rows = min(max(1, extents.rows // core.threads), max(1, tiles // columns))
    rows = largest_divisor(extents.rows, rows)
    pixels = max(divisors(columns, _MOST_PIXELS), key=lambda n: (min(n, _PIXELS), -n))
    # A column's weights are gone through once for every few tiles, so they have to stay in the
    # cache; and its data is loaded for one vector of channels only, which pays where that is wide.
    is_cached = vector_bytes // TAPS <= core.l1d_bytes and channels <= extents.lanes
    if is_cached and _fits(pixels, 1, extents):
        return Configuration(pixels, 1, rows, columns, HALF)
    most = min(channels // extents.lanes, core.registers // 2 // pixels)
    return Configuration(pixels, largest_divisor(extents.vectors, most), rows, columns)


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Blocks of tiles to threads; in a block, channels outside; cut by the default configuration
    unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    lanes = read_extents(sch, core).lanes
    epilogue = sch.get_sblock("epilogue")
    row, i, row_phase, column, j, column_phase, channel = sch.get_loops(epilogue)
    task_row, row = sch.split(row, [None, configuration.rows])
    task_column, column = sch.split(column, [None, configuration.columns])
    outer, vector, lane = sch.split(channel, [None, configuration.vectors, lanes])
    phases = [row_phase, column_phase]
    sch.reorder(task_row, task_column, *phases, outer, row, column, vector, i, j, lane)
    task = sch.fuse(task_row, task_column)
    sch.parallel(task)
    sch.unroll(i)
    sch.unroll(j)
    sch.vectorize(lane)

    places = Places(task, row_phase, column_phase, outer, vector)
    place_transforms(sch, core, configuration, places)


@dataclass(frozen=True)
class Places:
    """Loops of a kernel's result.

    Attributes:
        operand: in which the padded data is made, where that is a tensor.
        rows, columns: in which the data is transformed.
        products: in which the products of some vectors of channels are made.
        sums: over those vectors, of a tile.
    """

    operand: LoopRV
    rows: LoopRV
    columns: LoopRV
    products: LoopRV
    sums: LoopRV


def place_transforms(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration, places: Places
) -> None:
    """Move all that comes before the result under its loops, and cut it."""
    extents = read_extents(sch, core)
    sums, columns, rows = (sch.get_sblock(name) for name in ("sums", "columns", "rows"))
    halves = [sch.get_sblock(name) for name in PRODUCTS]
    operands = [b for b in sch.get_producers(rows) if str(sch.get(b).name_hint) == "operand"]
    for conv in halves:
        take_annotations(sch, conv)
    in_registers = configuration.numbers > 1
    if in_registers:
        _place_column_by_column(sch, sums, halves, places.products, configuration.pixels)
    else:
        _place_number_by_number(sch, sums, halves, places.products, places.sums)
    for block, loop in ((columns, places.columns), (rows, places.rows)):
        sch.compute_at(block, loop, preserve_unit_loops=True)
    for operand in operands:
        sch.compute_at(operand, places.operand, preserve_unit_loops=True)
        vectorize_operand(sch, operand, core)
    _vectorize_transform(sch, rows, core)
    _vectorize_transform(sch, columns, core)
    _spread(sch, columns, 32)

    lanes = extents.lanes
    steps = next(n for n in extents.pairs.steps if extents.groups % n == 0)
    tile = configuration.pixels, configuration.vectors
    register_tile = DotTile(*tile, lanes, steps, 1, "int16")
    for conv in halves:
        *_, t, i, j, pixel, channel, _ = sch.get_loops(conv)
        tiles = [i] if in_registers else []
        if not in_registers:
            _spread(sch, conv, 16)
            outer, pixel = sch.split(pixel, [None, configuration.pixels])
            # Of one number of all tiles the weights are the same.
            sch.reorder(i, j, t, outer, pixel, channel)
            _store_once(sch, conv, outer, lanes)
            *_, pixel, channel, _ = sch.get_loops(conv)
        accumulate_dot_products(sch, conv, extents.pairs, register_tile, pixel, channel, tiles)


def _place_number_by_number(
    sch: s_tir.Schedule,
    sums: SBlockRV,
    halves: Sequence[SBlockRV],
    outer: LoopRV,
    vector: LoopRV,
) -> None:
    """The products of all tiles, then the sums of one after the other."""
    sch.compute_at(sums, vector, preserve_unit_loops=True)
    *_, i, j, _, lane = sch.get_loops(sums)
    sch.reorder(j, i)
    sch.unroll(i)
    sch.unroll(j)
    sch.vectorize(lane)
    for conv in halves:
        sch.compute_at(conv, outer, preserve_unit_loops=True)


def _place_column_by_column(
    sch: s_tir.Schedule,
    sums: SBlockRV,
    halves: Sequence[SBlockRV],
    outer: LoopRV,
    pixels: int,
) -> None:
    """The products of a column of some tiles' numbers in registers, and the sums of them."""
    sch.compute_at(sums, outer, preserve_unit_loops=True)
    _spread(sch, sums, 16)
    *_, t, i, j, pixel, lane = sch.get_loops(sums)
    block, pixel = sch.split(pixel, [None, pixels])
    sch.reorder(j, t, block, pixel, i, lane)
    sch.unroll(pixel)
    sch.unroll(i)
    sch.vectorize(lane)
    for conv in halves:
        sch.compute_at(conv, block, preserve_unit_loops=True)


def _vectorize_transform(sch: s_tir.Schedule, block: SBlockRV, core: CpuCore) -> None:
    """The six numbers of one transform of "rows" or "columns" together, by vectors of channels."""
    *others, number, column, channel = sch.get_loops(block)
    length = even_lanes(int(sch.get(channel).extent), core.bits // 16)
    channel, lane = sch.split(channel, [None, length])
    sch.reorder(*others[-1:], column, channel, number, lane)
    for part in _parts(sch, block, channel, length):
        *_, number, lane = sch.get_loops(part)
        sch.unroll(number)
        sch.vectorize(lane)


def _parts(sch: s_tir.Schedule, block: SBlockRV, channel: LoopRV, length: int) -> list[SBlockRV]:
    """``block`` for each part of the data, or as it is: cut where the parts join, the loop over
    ``channel``, vectors of ``length``, has no choice in it."""
    annotations = sch.get(block).annotations
    if PARTS_ATTR not in annotations:
        return [block]
    vectors = [int(channels) // length for channels in annotations[PARTS_ATTR]]
    sch.unannotate(block, PARTS_ATTR)
    if len(vectors) == 1:
        return [block]
    loops = sch.loop_partition(channel, [*vectors[:-1], None])
    return [leaf for loop in loops for leaf in innermost_blocks(sch, loop)]


def _store_once(sch: s_tir.Schedule, conv: SBlockRV, tile: LoopRV, lanes: int) -> None:
    """Keep the products of a register ``tile`` of "conv" in variables until they are done: LLVM
    does not know that what they begin at need not be stored."""
    stored = sch.cache_write(conv, 0, "global")
    sch.reverse_compute_at(stored, tile, preserve_unit_loops=True)
    *_, pixel, channel = sch.get_loops(stored)
    vector, lane = sch.split(channel, [None, lanes])
    keep_in_registers(sch, [pixel, vector], lane)


def _spread(sch: s_tir.Schedule, block: SBlockRV, line: int) -> None:
    """Put a cache ``line``, in numbers, behind all tiles of each of the 36 numbers, as those of one
    tile would else be in the same few sets of the cache."""
    sch.storage_align(block, 0, 4, 16 * line, line)


FAMILY = KernelFamily(
    "winograd_conv",
    "3x3 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
)
