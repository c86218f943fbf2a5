"""Dense KxK convolution of int8 with few outputs, to rows of planes: NHWC -> [1,H,C,W].

Vectors of channels would be half empty. Here the lanes are pixels of a row, so every product counts
however few channels there are, and what follows finds each channel of a row in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import s_tir, sym, te, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.conv_epilogue import ConvEpilogue, padding_value
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import keep_in_registers
from compile.kernels.common.tiling import divisors, row_blocks, rows_per_task
from compile.kernels.common.window import Window
from compile.kernels.cpu.fused_neighbours import STATISTICS_BEHIND, place_neighbours
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import annotated_dot_product
from compile.kernels.cpu.instructions.planar_intrinsics import (
    planar_steps_intrinsic,
    planar_tile_intrinsic,
    split_groups_intrinsic,
    weights_per_load,
)
from compile.kernels.cpu.int8.int8_loops import (
    DOT_PRODUCT_ATTR,
    MOST_BYTES,
    STRIDE_ATTR,
    take_annotations,
    vectorize_operand,
)
from compile.kernels.family import KernelFamily

#: Registers for the data and weights of the next step and its products.
_AHEAD = 4


def serves_planar(
    weight: NDArray[np.int8], stride: tuple[int, int], columns: int, dot: DotProduct
) -> bool:
    """Whether there is a kernel for an OIHW ``weight`` and an output of ``columns``.

    TVM does not match an intrinsic whose loops have one iteration, nor move one along an axis that
    has: so not for a single output channel, for input channels that one group holds, or for a
    window of one row or column.
    """
    channels_out, channels_in, *kernel = weight.shape
    return (
        min(channels_out, *kernel) > 1
        and channels_in > _packed(dot)
        and stride[1] == 1
        and weight.min() >= dot.least_weight
        and dot.find_dividing_lanes(columns) is not None
    )


def create_planar_conv(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    window: Window,
    dot: DotProduct,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight as :func:`pack_planar` has it, epilogue operands) ->
    [1,OH,O,OW], where :func:`serves_planar` says that there is one.

    Beyond the edge stands the data's zero point, so that its share of the accumulator is the
    constant that the packer has folded into the bias.
    """
    _, height, width, channels_in = data_shape
    group, packed = dot.group, _packed(dot)
    words = -(-channels_in // packed)
    groups = words * (packed // group)
    data = te.placeholder(data_shape, "int8", name="data")
    shape = (*window.kernel, words, channels_out, packed)
    weight = te.placeholder(shape, dot.weight_dtype, name="weight")
    operands = epilogue.operands(channels_out, "int32")
    finish = epilogue.apply(operands)
    # The weights behind the last channel are zero: what they multiply does not matter.
    whole = replace(window, padding=_whole_vectors(window, width, dot))
    padded = whole.pad(data, padding_value("int8", operands), groups * group, dot.widened)
    _, rows, columns, _ = padded.shape
    # Two axes of what would be four: TVM moves a tensorized block along axes that go on beyond it.
    operand = te.compute(
        (rows * groups, columns * group),
        lambda yk, xg: padded[0, yk // groups, xg // group, yk % groups * group + xg % group],
        name="operand",
    )
    ky = te.reduce_axis((0, window.kernel[0]), name="ky")
    kx = te.reduce_axis((0, window.kernel[1]), name="kx")
    k = te.reduce_axis((0, groups), name="k")
    g = te.reduce_axis((0, group), name="g")

    def multiply(y: tirx.Expr, n: tirx.Expr, x: tirx.Expr) -> tirx.Expr:
        value = operand[(y * window.stride[0] + ky) * groups + k, (x + kx) * group + g]
        member = k * group + g
        by = (
            weight[ky, kx, member // packed, n, member % packed]
            if packed > group
            else weight[ky, kx, k, n, g]
        )
        return te.sum(dot.product(value, by, dot.data_dtype), [ky, kx, k, g])

    output_rows, output_columns = window.output_size(height, width)
    attrs = {DOT_PRODUCT_ATTR: dot.name, STRIDE_ATTR: 1}
    planes = (output_rows, channels_out, output_columns)
    conv = te.compute(planes, multiply, name="conv", attrs=attrs)
    out = te.compute((1, *planes), lambda b, y, n, x: finish(conv[y, n, x], n), name="epilogue")
    macs = prod(planes) * prod(window.kernel) * channels_in
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs)


def _packed(dot: DotProduct) -> int:
    """Input channels whose weights stand together."""
    return dot.group * (dot.steps_together or 1)


def _whole_vectors(window: Window, width: int, dot: DotProduct) -> tuple[int, int, int, int]:
    """The window's padding with so much more on the right that vectors fill a padded row."""
    top, left, bottom, right = window.padding
    lanes = dot.dividing_lanes(window.output_size(0, width)[1])
    return top, left, bottom, right + -(left + width + right) % lanes


def pack_planar(weight: NDArray[np.int8], dot: DotProduct) -> NDArray:
    """OIHW ``weight`` as [KH,KW,I/group,O,group], zeros behind the last input channels; where the
    instruction takes several groups together, these stand for one."""
    channels_out, channels_in, *kernel = weight.shape
    packed = _packed(dot)
    padded = np.pad(weight, [(0, 0), (0, -channels_in % packed), (0, 0), (0, 0)])
    split = padded.reshape(channels_out, -1, packed, *kernel)
    return np.ascontiguousarray(split.transpose(3, 4, 1, 0, 2)).astype(dot.weight_dtype)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        channels, vectors: of the register tile: so many channels by vectors of pixels.
        rows: that one task takes.
    """

    channels: int
    vectors: int
    rows: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    sizes = planar_sizes(sch, core)
    return [
        Configuration(*tile, rows)
        for tile in register_tiles(sizes, core.registers)
        for rows in row_blocks(sizes.rows, core)
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The tile with the fewest loads for each instruction."""
    sizes = planar_sizes(sch, core)
    return Configuration(*best_tile(sizes, core), rows_per_task(sizes.rows, core))


def best_tile(
    sizes: PlanarSizes, core: CpuCore, most_vectors: int | None = None
) -> tuple[int, int]:
    """(channels, vectors) of the tile with the fewest loads for each instruction, of
    ``most_vectors`` at the most: a step loads a group of weights for each channel and a vector of
    data for each vector."""

    def loads(tile: tuple[int, int]) -> float:
        channels, vectors = tile
        if sizes.dot.steps_together is not None:
            # Each channel's weights are spread over a register.
            return (channels + vectors) / (channels * vectors)
        weights = channels // weights_per_load(sizes.dot, channels)
        return (weights + vectors) / (channels * vectors)

    # Beside the accumulators: the vectors of data, and one of weights.
    tiles = [
        (channels, vectors)
        for channels, vectors in register_tiles(sizes, core.registers)
        if (channels + (sizes.dot.steps_together or 1)) * vectors
        < core.registers - sizes.dot.temporaries
        and (most_vectors is None or vectors <= most_vectors)
    ]
    if sizes.dot.keeps_weights:
        # The weights, too, and what LLVM brings in for the step behind: else accumulators leave
        # the registers.
        room = core.registers - _AHEAD
        tiles = [tile for tile in tiles if (tile[0] + 1) * (tile[1] + 1) <= room] or tiles
    return min(tiles, key=loads)


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows to threads; channels by vectors of pixels to registers; cut by the default configuration
    unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    sizes = planar_sizes(sch, core)
    epilogue, conv, operand = (sch.get_sblock(name) for name in ("epilogue", "conv", "operand"))
    take_annotations(sch, conv)
    row, channel, column, *_ = sch.get_loops(conv)
    task, row = sch.split(row, [None, configuration.rows])
    outer_channel, channel = sch.split(channel, [None, configuration.channels])
    outer_column, column = sch.split(column, [None, configuration.vectors * sizes.lanes])
    sch.reorder(task, row, outer_column, outer_channel, channel, column)
    sch.reverse_compute_at(epilogue, outer_channel, preserve_unit_loops=True)
    make_operand(sch, operand, task, sizes, core)
    sch.parallel(task)
    unroll_tile(sch, epilogue, sizes.lanes)
    place_neighbours(sch, row, core)
    multiply_tile(sch, conv, configuration.channels, sizes)
    part_from_border(sch)


def multiply_tile(sch: s_tir.Schedule, conv: SBlockRV, channels: int, sizes: PlanarSizes) -> None:
    """Give the products of one register tile of ``channels``, the innermost loops of ``conv``, to
    the instruction."""
    *_, channel, column, ky, kx, k, group = sch.get_loops(conv)
    vector, column = sch.split(column, [None, sizes.lanes])
    together = sizes.dot.steps_together
    inner = [group]
    if together is not None:
        k, step = sch.split(k, [None, together])
        inner = [step, group]
    sch.reorder(ky, kx, k, vector, channel, column, *inner)
    # Where products are added up first, LLVM runs out of registers over several steps.
    for loop in (kx, k, vector) if together is None else (vector,):
        sch.unroll(loop)
    unroll_tile(sch, sch.decompose_reduction(conv, ky), sizes.lanes)
    intrinsic = planar_tile_intrinsic if together is None else planar_steps_intrinsic
    sch.tensorize(channel, intrinsic(sizes.dot, channels, sizes.lanes))


@dataclass(frozen=True)
class PlanarSizes:
    """Of the result, and the groups of input channels; ``lanes`` are pixels."""

    rows: int
    channels: int
    columns: int
    groups: int
    lanes: int
    dot: DotProduct


def planar_sizes(sch: s_tir.Schedule, core: CpuCore) -> PlanarSizes:
    """Read them from the block "conv"."""
    conv = sch.get(sch.get_sblock("conv"))
    dot = annotated_dot_product(conv.annotations[DOT_PRODUCT_ATTR], core.bits)
    rows, channels, columns, _, _, groups, _ = (int(axis.dom.extent) for axis in conv.iter_vars)
    return PlanarSizes(rows, channels, columns, groups, dot.dividing_lanes(columns), dot)


def register_tiles(sizes: PlanarSizes, registers: int) -> list[tuple[int, int]]:
    """(channels, vectors) of every tile whose accumulators fit; TVM does not match an intrinsic of
    one channel."""
    most = min(registers, MOST_BYTES // (sizes.lanes * 4))
    return [
        (channels, vectors)
        for channels in divisors(sizes.channels, most)
        for vectors in divisors(sizes.columns // sizes.lanes, most // channels)
        if channels > 1
    ]


def unroll_tile(sch: s_tir.Schedule, block: SBlockRV, lanes: int) -> None:
    """Unroll and vectorize the channels by pixels that are the innermost loops of ``block``."""
    *_, channel, column = sch.get_loops(block)
    vector, lane = sch.split(column, [None, lanes])
    keep_in_registers(sch, [channel, vector], lane)


def make_operand(
    sch: s_tir.Schedule,
    operand: SBlockRV,
    task: LoopRV,
    sizes: PlanarSizes,
    core: CpuCore,
) -> None:
    """Make the data of a ``task``: padded and in the instruction's type, then group by group."""
    row, column = sch.get_loops(operand)
    group_size = sizes.dot.group
    _, group = sch.split(row, [None, sizes.groups])
    outer, member = sch.split(column, [None, sizes.lanes * group_size])
    sch.reorder(outer, group, member)
    block = sch.blockize(group)
    intrinsic = split_groups_intrinsic(sizes.dot.data_dtype, sizes.groups, group_size, sizes.lanes)
    sch.tensorize(block, intrinsic)
    sch.compute_at(block, task, preserve_unit_loops=True)
    pad = sch.get_sblock("pad")
    sch.compute_at(pad, sch.get_loops(block)[-2], preserve_unit_loops=True)
    vectorize_operand(sch, pad, core)


def part_from_border(sch: s_tir.Schedule) -> None:
    """Give the columns that are the data's a loop of their own in the block "pad", which asks of no
    column whether it is inside. To be done last: primitives do not look into what it leaves."""
    pad = sch.get_sblock("pad")
    block = sch.get(pad)
    *_, column, _outer_channel, _lane = sch.get_loops(pad)
    data, columns = block.reads[0], block.iter_vars[2]
    left = int(sym.Analyzer().simplify(columns.var - data.region[2].min))
    width = int(data.source.shape[2])
    parts = [n for n in (left, width, int(columns.dom.extent) - left - width) if n > 0]
    if len(parts) > 1:
        sch.loop_partition(column, [*parts[:-1], None])


FAMILY = KernelFamily(
    "planar_conv",
    "3x3 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
    fusion=STATISTICS_BEHIND,
)
