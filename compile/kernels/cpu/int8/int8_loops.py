"""Schedule steps that kernels with a dot product instruction share.

They have a block "conv", which accumulates, and "epilogue". Some have "operand" before them, which
brings the data into the instruction's type (and pads it). The accumulators of a tile of pixels by
vectors stay in registers from the first product to the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm import s_tir, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.register_loops import keep_in_registers
from compile.kernels.common.tiling import MOST_PIXELS, divisors, even_lanes, largest_divisor
from compile.kernels.cpu.instructions.dot_intrinsics import DotTile, tile_intrinsic
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import annotated_dot_product

#: Annotations of the block "conv": the name of its instruction, the columns of its data between
#: neighbouring outputs.
DOT_PRODUCT_ATTR, STRIDE_ATTR = "mqnet.dot_product", "mqnet.stride"

#: What a step of "conv" reads.
_OPERANDS = ("sums", "data", "weights")

#: Beyond this TVM takes a buffer from its pool at run time, which LLVM cannot see through.
MOST_BYTES = 1023


@dataclass(frozen=True)
class PackedExtents:
    """What a dense convolution by a dot product instruction is made of.

    Attributes:
        rows, columns, channels: of the result.
        groups: of input channels.
        dot: the instruction.
        stride: columns of the data between neighbouring outputs.
    """

    rows: int
    columns: int
    channels: int
    groups: int
    dot: DotProduct
    stride: int


def packed_extents(sch: s_tir.Schedule, core: CpuCore) -> PackedExtents:
    """Of the blocks "conv", as long as it has its annotations, and "epilogue"."""
    conv = sch.get(sch.get_sblock("conv"))
    rows, columns, *_, k = (int(axis.dom.extent) for axis in conv.iter_vars)
    channels = int(sch.get(sch.get_sblock("epilogue")).iter_vars[-1].dom.extent)
    dot = annotated_dot_product(conv.annotations[DOT_PRODUCT_ATTR], core.bits)
    stride = int(conv.annotations[STRIDE_ATTR])
    return PackedExtents(rows, columns, channels, k // dot.group, dot, stride)


def take_annotations(sch: s_tir.Schedule, conv: SBlockRV) -> None:
    """Take what is written on the block ``conv`` off it: tensorize compares annotations, too."""
    for attr in (DOT_PRODUCT_ATTR, STRIDE_ATTR):
        sch.unannotate(conv, attr)


def dot_product_tile(
    extents: PackedExtents, core: CpuCore, vectors_of_other: int | None = None
) -> DotTile:
    """The tile for the pixels of a row by the channels; of ``vectors_of_other`` where another
    feature map's tile goes on with its sums.

    A step loads a group of data for each pixel and a vector of weights for each vector: the tile
    with the fewest loads for each instruction wins, of those that fill whole stores.
    """
    dot, lanes, most = extents.dot, *_lanes_and_most_vectors(extents)
    tiles = []
    for vectors in [vectors_of_other] if vectors_of_other else _vector_counts(extents):
        steps = _steps(extents)
        # Beside the accumulators: the data of all pixels for some steps with the weights of one
        # vector for each, or one group of data and one vector of weights.
        free = core.registers - dot.temporaries - (steps if steps > 1 else 2)
        fitting = free // (vectors + (steps > 1))
        if dot.steps_together is not None:
            # As many again hold the data of all pixels, weights, and products of the next steps.
            fitting = min(fitting, core.registers // 2 // vectors)
        if dot.keeps_weights:
            # One pixel's data beside the weights of all vectors, or the other way round.
            free = core.registers - dot.temporaries - 1
            fitting = max((free - vectors) // vectors, min(free // (vectors + 1), vectors))
        limit = max(1, min(fitting, most // vectors, _most_pixels(dot)))
        pixels = largest_divisor(extents.columns, limit)
        tiles.append(DotTile(pixels, vectors, lanes, steps, extents.stride, dot.data_dtype))
    whole = [tile for tile in tiles if tile.vectors * lanes % dot.stored_channels == 0]
    return min(whole or tiles, key=lambda t: (t.pixels + t.vectors) / (t.pixels * t.vectors))


def _steps(extents: PackedExtents) -> int:
    """Of the default tile."""
    return next(n for n in extents.dot.steps if extents.groups % n == 0)


def _most_pixels(dot: DotProduct) -> int:
    """Of the default tile."""
    return MOST_PIXELS if dot.steps_together is None else MOST_PIXELS // 2


def dot_product_tiles(extents: PackedExtents, core: CpuCore) -> list[DotTile]:
    """Every tile worth a try: its accumulators fit the registers."""
    dot, lanes, most = extents.dot, *_lanes_and_most_vectors(extents)
    tiles = []
    for vectors in _vector_counts(extents):
        limit = min(core.registers // vectors, most // vectors, 2 * MOST_PIXELS)
        for pixels in divisors(extents.columns, limit):
            for steps in dot.steps:
                if extents.groups % steps == 0:
                    tile = DotTile(pixels, vectors, lanes, steps, extents.stride, dot.data_dtype)
                    tiles.append(tile)
    return tiles


def _lanes_and_most_vectors(extents: PackedExtents) -> tuple[int, int]:
    """Of a tile of one pixel."""
    lanes = extents.dot.lanes_for(extents.channels)
    return lanes, MOST_BYTES // (lanes * 4)


def _vector_counts(extents: PackedExtents) -> list[int]:
    """What a tile may have. Where the last vector stands over the channels' end, it has all, so
    that no other tile is cut."""
    lanes, most = _lanes_and_most_vectors(extents)
    vectors = -(-extents.channels // lanes)
    return [vectors] if extents.channels % lanes else divisors(vectors, most)


def vectorize_operand(sch: s_tir.Schedule, operand: SBlockRV, core: CpuCore) -> None:
    """Bring the data into the instruction's type by vectors of channels."""
    channel = sch.get_loops(operand)[-1]
    _, lane = sch.split(channel, [None, even_lanes(int(sch.get(channel).extent), core.bits // 8)])
    sch.vectorize(lane)


def accumulate_dot_products(
    sch: s_tir.Schedule,
    conv: SBlockRV,
    dot: DotProduct,
    tile: DotTile,
    pixel: LoopRV,
    channel: LoopRV,
    tiles: Sequence[LoopRV] = (),
) -> None:
    """Put the reduction of "conv" around the ``pixel`` and ``channel`` loops of its ``tile``, and
    the instruction in the place of those. Of loops over several ``tiles`` around it all
    accumulators are in registers."""
    *rows, k = _reduction_loops(sch, conv)
    outer, k = sch.split(k, [None, tile.steps * dot.group])
    # The columns of a window innermost: their data is loaded once for all outputs that it is in.
    columns = [rows.pop()] if rows else []
    sch.reorder(*rows, outer, *columns, *tiles, pixel, channel, k)
    for loop in (*columns, *tiles):
        sch.unroll(loop)
    init = separate_start(sch, conv, [*rows, outer][0])
    *init_loops, init_channel = sch.get_loops(init)[-2 - len(tiles) :]
    vector, lane = sch.split(init_channel, [None, tile.lanes])
    keep_in_registers(sch, [*init_loops, vector], lane)
    # The intrinsic of one pixel has no loop over pixels.
    sch.tensorize(channel if tile.pixels == 1 else pixel, tile_intrinsic(dot, tile))


def separate_start(sch: s_tir.Schedule, conv: SBlockRV, reduction: LoopRV) -> SBlockRV:
    """Cut what the sums of "conv" begin at off it, before its outermost loop of ``reduction``; the
    block that does."""
    init = sch.decompose_reduction(conv, reduction)
    first = len(_OPERANDS)
    if len(sch.get(conv).reads) > first:
        # TVM leaves it among what "conv" reads, where tensorize would miss it in the intrinsic.
        sch.unsafe_hide_buffer_access(conv, "read", [first])
    return init


def _reduction_loops(sch: s_tir.Schedule, block: SBlockRV) -> list[LoopRV]:
    """The block's innermost loops, one for each of its reduction axes, as they stand."""
    axes = sch.get(block).iter_vars
    count = sum(axis.iter_type == tirx.IterVar.CommReduce for axis in axes)
    return sch.get_loops(block)[-count:]


def innermost_blocks(sch: s_tir.Schedule, parent: SBlockRV | LoopRV) -> list[SBlockRV]:
    """Those in ``parent``; itself, where it is a block with no other inside."""
    children = sch.get_child_blocks(parent)
    blocks = [block for child in children for block in innermost_blocks(sch, child)]
    return blocks or ([parent] if isinstance(parent, SBlockRV) else [])
