"""Schedule steps that kernels with a dot product instruction share.

They have three blocks: "operand" brings the data into the instruction's type (and pads it),
"conv" accumulates, "epilogue" finishes. The accumulators of a tile of pixels by vectors stay in
registers from the first product to the store.
"""

from __future__ import annotations

from tvm import s_tir, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.dot_intrinsics import broadcast_intrinsic
from compile.kernels.dot_product import DotProduct
from compile.kernels.dot_products import dot_product_named
from compile.kernels.register_loops import keep_in_registers
from compile.kernels.tiling import RegisterTile, VectorUnit, even_lanes, largest_divisor

#: Annotation of the block "conv" with the name of its instruction.
DOT_PRODUCT_ATTR = "mqnet.dot_product"

#: Registers that hold no accumulators: a vector of weights, a group of data, a product.
_OTHER_REGISTERS = 3

#: Beyond this TVM takes a buffer from its pool at run time, which LLVM cannot see through.
MOST_BYTES = 1023

#: More pixels than this save hardly a load, but make remainders and code.
_MOST_PIXELS = 8


def take_dot_product(sch: s_tir.Schedule, conv: SBlockRV, unit: VectorUnit) -> DotProduct:
    """The instruction of the block ``conv``, whose annotation is taken off: tensorize compares
    annotations, too."""
    name = str(sch.get(conv).annotations[DOT_PRODUCT_ATTR])
    sch.unannotate(conv, DOT_PRODUCT_ATTR)
    return dot_product_named(name, unit.bits)


def dot_product_tile(pixels: int, channels: int, dot: DotProduct, unit: VectorUnit) -> RegisterTile:
    """The accumulators that stay in registers for ``pixels`` x ``channels``.

    A step loads ``tile.pixels`` groups of data and ``tile.vectors`` of weights for the product of
    the two in instructions: the tile with the fewest loads for each instruction wins. Where the
    last vector stands over the channels' end, the tile has all vectors, so that no other tile is
    cut.
    """
    lanes = dot.lanes_for(channels)
    all_vectors = -(-channels // lanes)
    budget = min(unit.registers - _OTHER_REGISTERS, MOST_BYTES // (lanes * 4))
    counts = [n for n in range(1, min(budget, all_vectors) + 1) if all_vectors % n == 0]
    if channels % lanes:
        counts = [all_vectors]
    tiles = [
        RegisterTile(largest_divisor(pixels, min(budget // n, _MOST_PIXELS)), n, lanes)
        for n in counts
    ]
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
    lanes = extent if extent <= lanes else even_lanes(extent, lanes)
    vector, lane = sch.split(channel, [None, lanes])
    keep_in_registers(sch, [pixel, vector], lane)


def accumulate_dot_products(
    sch: s_tir.Schedule, conv: SBlockRV, dot: DotProduct, data_dtype: str, tile: list[LoopRV]
) -> None:
    """Put the reduction of "conv" around its ``tile`` (the loops over pixels, vectors and lanes),
    and the instruction, on data of ``data_dtype``, in the place of the innermost loops."""
    *unrolled, lane = tile
    *rows, k = _reduction_loops(sch, conv)
    groups = int(sch.get(k).extent) // dot.group
    steps = next(n for n in dot.steps if groups % n == 0)
    outer, k = sch.split(k, [None, steps * dot.group])
    # The columns of a window innermost: their data is loaded once for all outputs that it is in.
    columns = [rows.pop()] if rows else []
    sch.reorder(*rows, outer, *columns, *unrolled, lane, k)
    for loop in (*columns, *unrolled):
        sch.unroll(loop)
    init = sch.decompose_reduction(conv, [*rows, outer][0])
    keep_in_registers(sch, sch.get_loops(init)[-len(tile) : -1], sch.get_loops(init)[-1])
    lanes = int(sch.get(lane).extent)
    sch.tensorize(lane, broadcast_intrinsic(dot, lanes, steps, data_dtype))


def _reduction_loops(sch: s_tir.Schedule, block: SBlockRV) -> list[LoopRV]:
    """The block's innermost loops, one for each of its reduction axes, as they stand."""
    axes = sch.get(block).iter_vars
    count = sum(axis.iter_type == tirx.IterVar.CommReduce for axis in axes)
    return sch.get_loops(block)[-count:]
