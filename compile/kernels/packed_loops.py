"""Schedule steps that kernels with a dot product instruction share.

They have a block "conv", which accumulates, and "epilogue". Some have "operand" before them, which
brings the data into the instruction's type (and pads it). The accumulators of a tile of pixels by
vectors stay in registers from the first product to the store.
"""

from __future__ import annotations

from tvm import s_tir, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.dot_intrinsics import DotTile, tile_intrinsic
from compile.kernels.dot_product import DotProduct
from compile.kernels.dot_products import dot_product_named
from compile.kernels.register_loops import keep_in_registers
from compile.kernels.tiling import VectorUnit, even_lanes, largest_divisor

#: Annotations of the block "conv": the name of its instruction, the columns of its data between
#: neighbouring outputs.
DOT_PRODUCT_ATTR, STRIDE_ATTR = "mqnet.dot_product", "mqnet.stride"

#: Beyond this TVM takes a buffer from its pool at run time, which LLVM cannot see through.
MOST_BYTES = 1023

#: More pixels than this save hardly a load, but make remainders and code.
_MOST_PIXELS = 8


def take_dot_product(
    sch: s_tir.Schedule, conv: SBlockRV, unit: VectorUnit
) -> tuple[DotProduct, int]:
    """The instruction and the stride of the block ``conv``, whose annotations are taken off:
    tensorize compares annotations, too."""
    annotations = sch.get(conv).annotations
    for attr in (DOT_PRODUCT_ATTR, STRIDE_ATTR):
        sch.unannotate(conv, attr)
    dot = dot_product_named(str(annotations[DOT_PRODUCT_ATTR]), unit.bits)
    return dot, int(annotations[STRIDE_ATTR])


def dot_product_tile(
    pixels: int, channels: int, groups: int, dot: DotProduct, unit: VectorUnit, stride: int = 1
) -> DotTile:
    """The tile for ``pixels`` in a row x ``channels``, over ``groups`` of input channels.

    A step loads a group of data for each pixel and a vector of weights for each vector: the tile
    with the fewest loads for each instruction wins. Where the last vector stands over the
    channels' end, the tile has all vectors, so that no other tile is cut.
    """
    lanes = dot.lanes_for(channels)
    steps = next(n for n in dot.steps if groups % n == 0)
    all_vectors = -(-channels // lanes)
    most = MOST_BYTES // (lanes * 4)
    counts = [n for n in range(1, min(most, all_vectors) + 1) if all_vectors % n == 0]
    if channels % lanes:
        counts = [all_vectors]
    tiles = []
    for vectors in counts:
        # Beside the accumulators: the data of all pixels for some steps with the weights of one
        # vector for each, or one group of data and one vector of weights.
        free = unit.registers - dot.temporaries - (steps if steps > 1 else 2)
        limit = min(free // (vectors + (steps > 1)), most // vectors, _MOST_PIXELS)
        divisor = largest_divisor(pixels, limit)
        tiles.append(DotTile(divisor, vectors, lanes, steps, stride, dot.data_dtype))
    return min(tiles, key=lambda t: (t.pixels + t.vectors) / (t.pixels * t.vectors))


def vectorize_operand(sch: s_tir.Schedule, operand: SBlockRV, unit: VectorUnit) -> None:
    """Bring the data into the instruction's type by vectors of channels."""
    channel = sch.get_loops(operand)[-1]
    _, lane = sch.split(channel, [None, even_lanes(int(sch.get(channel).extent), unit.bits // 8)])
    sch.vectorize(lane)


def finish_in_registers(sch: s_tir.Schedule, epilogue: SBlockRV, lanes: int) -> None:
    """Unroll the tile of the block "epilogue" and vectorize its channels, of which the last vector
    may lack some."""
    *_, pixel, channel = sch.get_loops(epilogue)
    extent = int(sch.get(channel).extent)
    # A single vector that is not full stays one: it costs as much as a full one.
    lanes = extent if extent <= lanes else even_lanes(extent, max(lanes, 16))
    vector, lane = sch.split(channel, [None, lanes])
    keep_in_registers(sch, [pixel, vector], lane)


def accumulate_dot_products(
    sch: s_tir.Schedule,
    conv: SBlockRV,
    dot: DotProduct,
    tile: DotTile,
    pixel: LoopRV,
    channel: LoopRV,
) -> None:
    """Put the reduction of "conv" around the ``pixel`` and ``channel`` loops of its ``tile``, and
    the instruction in the place of those."""
    *rows, k = _reduction_loops(sch, conv)
    outer, k = sch.split(k, [None, tile.steps * dot.group])
    # The columns of a window innermost: their data is loaded once for all outputs that it is in.
    columns = [rows.pop()] if rows else []
    sch.reorder(*rows, outer, *columns, pixel, channel, k)
    for loop in columns:
        sch.unroll(loop)
    init = sch.decompose_reduction(conv, [*rows, outer][0])
    *_, init_pixel, init_channel = sch.get_loops(init)
    vector, lane = sch.split(init_channel, [None, tile.lanes])
    keep_in_registers(sch, [init_pixel, vector], lane)
    # The intrinsic of one pixel has no loop over pixels.
    sch.tensorize(channel if tile.pixels == 1 else pixel, tile_intrinsic(dot, tile))


def _reduction_loops(sch: s_tir.Schedule, block: SBlockRV) -> list[LoopRV]:
    """The block's innermost loops, one for each of its reduction axes, as they stand."""
    axes = sch.get(block).iter_vars
    count = sum(axis.iter_type == tirx.IterVar.CommReduce for axis in axes)
    return sch.get_loops(block)[-count:]
