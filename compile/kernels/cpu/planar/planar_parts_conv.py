"""Dense KxK convolution of int8 with few outputs, to rows of planes, [1,H,C,W], whose sums are in
parts: see :mod:`compile.kernels.cpu.instructions.arm_parts`.

Where the input channels fill registers, a pixel's and a filter's are multiplied as they stand in
memory: nothing is brought into other lanes and no data is rearranged, as in
:mod:`compile.kernels.cpu.planar.planar_conv`. Four pixels' parts become one vector of a plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import s_tir, te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, padding_value
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import keep_in_registers
from compile.kernels.common.tiling import divisors, row_blocks, rows_per_task
from compile.kernels.common.window import Window
from compile.kernels.cpu.fused_neighbours import STATISTICS_BEHIND, place_neighbours
from compile.kernels.cpu.instructions.arm_parts import (
    PAIR,
    PARTS,
    join_parts_intrinsic,
    parts_intrinsic,
)
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import annotated_dot_product, parts_product_of
from compile.kernels.cpu.int8.int8_loops import (
    DOT_PRODUCT_ATTR,
    STRIDE_ATTR,
    take_annotations,
    vectorize_operand,
)
from compile.kernels.cpu.planar.planar_conv import part_from_border, unroll_tile
from compile.kernels.family import KernelFamily


def serves_parts_of_sums(
    weight: NDArray[np.int8], columns: int, dot: DotProduct, core: CpuCore
) -> bool:
    """Whether this kernel is there for an OIHW ``weight`` and an output of ``columns`` that
    :func:`compile.kernels.cpu.planar.planar_conv.serves_planar` has found fit. Not where planes may
    be computed twice instead of being kept: that schedule is of the other kernel."""
    parts = parts_product_of(dot)
    return (
        parts is not None
        and weight.shape[1] % parts.group == 0
        and columns % PARTS == 0
        and core.recompute_bytes is None
    )


def create_planar_parts_conv(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    window: Window,
    dot: DotProduct,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight as :func:`pack_for_parts` has it, epilogue operands)
    -> [1,OH,O,OW], where :func:`serves_parts_of_sums` says that there is one."""
    parts = parts_product_of(dot)
    assert parts is not None
    _, height, width, channels_in = data_shape
    data = te.placeholder(data_shape, "int8", name="data")
    groups = channels_in // parts.group
    shape = (*window.kernel, groups, channels_out, parts.group)
    weight = te.placeholder(shape, parts.weight_dtype, name="weight")
    operands = epilogue.operands(channels_out, "int32")
    finish = epilogue.apply(operands)
    padded = window.pad(data, padding_value("int8", operands))
    half = PARTS * PAIR
    ky = te.reduce_axis((0, window.kernel[0]), name="ky")
    kx = te.reduce_axis((0, window.kernel[1]), name="kx")
    k = te.reduce_axis((0, groups), name="k")
    h = te.reduce_axis((0, parts.group // half), name="h")
    g = te.reduce_axis((0, PAIR), name="g")

    def multiply(y: tirx.Expr, n: tirx.Expr, x: tirx.Expr, part: tirx.Expr) -> tirx.Expr:
        member = h * half + part * PAIR + g
        value = padded[0, y + ky, x + kx, k * parts.group + member]
        product = parts.product(value, weight[ky, kx, k, n, member], "int8")
        return te.sum(product, [ky, kx, k, h, g])

    rows, columns = window.output_size(height, width)
    planes = (rows, channels_out, columns)
    attrs = {DOT_PRODUCT_ATTR: parts.name, STRIDE_ATTR: 1}
    conv = te.compute((*planes, PARTS), multiply, name="conv", attrs=attrs)
    part = te.reduce_axis((0, PARTS), name="part")
    join = te.compute(planes, lambda *at: te.sum(conv[(*at, part)], [part]), name="join")
    out = te.compute((1, *planes), lambda _, y, n, x: finish(join[y, n, x], n), name="epilogue")
    macs = prod(planes) * prod(window.kernel) * channels_in
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs)


def pack_for_parts(weight: NDArray[np.int8], dot: DotProduct) -> NDArray:
    """OIHW ``weight`` as [KH,KW,I/members,O,members]."""
    parts = parts_product_of(dot)
    assert parts is not None
    channels_out, _, *kernel = weight.shape
    split = weight.reshape(channels_out, -1, parts.group, *kernel)
    return np.ascontiguousarray(split.transpose(3, 4, 1, 0, 2)).astype(parts.weight_dtype)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        channels, pixels: of the register tile.
        rows: that one task takes.
    """

    channels: int
    pixels: int
    rows: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    rows, _, _ = _planes(sch)
    return [
        Configuration(*tile, block)
        for tile in _register_tiles(sch, core)
        for block in row_blocks(rows, core)
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The tile with the fewest loads for each product. A row of taps loads the data of the pixels
    once and the weights of each tap; beside the data of a row of taps there must be room for the
    weights of two channels and for two products."""
    axes = sch.get(sch.get_sblock("conv")).iter_vars
    taps = int(axes[-4].dom.extent)

    def data(tile: tuple[int, int]) -> int:
        return tile[1] + taps - 1

    tiles = _register_tiles(sch, core)
    fitting = [tile for tile in tiles if prod(tile) + data(tile) + 4 <= core.registers] or tiles
    tile = min(fitting, key=lambda tile: (data(tile) + taps * tile[0]) / prod(tile))
    rows, _, _ = _planes(sch)
    return Configuration(*tile, rows_per_task(rows, core))


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows to threads; channels by pixels to registers; cut by the default configuration unless
    another one is given."""
    configuration = configuration or default_configuration(sch, core)
    epilogue, join, conv, pad = (
        sch.get_sblock(name) for name in ("epilogue", "join", "conv", "pad")
    )
    dot = annotated_dot_product(sch.get(conv).annotations[DOT_PRODUCT_ATTR], core.bits)
    take_annotations(sch, conv)
    row, channel, column, *_ = sch.get_loops(conv)
    task, row = sch.split(row, [None, configuration.rows])
    outer_channel, channel = sch.split(channel, [None, configuration.channels])
    outer_column, column = sch.split(column, [None, configuration.pixels])
    sch.reorder(task, row, outer_column, outer_channel, channel, column)
    for block in (join, epilogue):
        sch.reverse_compute_at(block, outer_channel, preserve_unit_loops=True)
    sch.compute_at(pad, task, preserve_unit_loops=True)
    vectorize_operand(sch, pad, core)
    sch.parallel(task)
    unroll_tile(sch, epilogue, PARTS)
    *_, channel, column, _ = sch.get_loops(join)
    vector, column = sch.split(column, [None, PARTS])
    for loop in (channel, vector):
        sch.unroll(loop)
    *_, lane = sch.get_loops(sch.decompose_reduction(join, column))
    sch.vectorize(lane)
    sch.tensorize(column, join_parts_intrinsic())
    place_neighbours(sch, row, core)
    *_, channel, column, part, ky, kx, k, h, g = sch.get_loops(conv)
    sch.reorder(ky, kx, k, channel, column, part, h, g)
    for loop in (kx, k):
        sch.unroll(loop)
    *_, first, second, lane = sch.get_loops(sch.decompose_reduction(conv, ky))
    keep_in_registers(sch, [first, second], lane)
    sch.tensorize(channel, parts_intrinsic(dot, configuration.channels, configuration.pixels))
    part_from_border(sch)


def _planes(sch: s_tir.Schedule) -> tuple[int, int, int]:
    """(rows, channels, columns) of the result."""
    axes = sch.get(sch.get_sblock("join")).iter_vars
    rows, channels, columns, _ = (int(axis.dom.extent) for axis in axes)
    return rows, channels, columns


def _register_tiles(sch: s_tir.Schedule, core: CpuCore) -> list[tuple[int, int]]:
    """(channels, pixels) of every tile whose parts fit the registers; TVM does not match an
    intrinsic of one channel."""
    _, channels, columns = _planes(sch)
    return [
        (n, pixels)
        for n in divisors(channels, core.registers // PARTS)
        for pixels in divisors(columns, core.registers // n)
        if n > 1 and pixels % PARTS == 0
    ]


FAMILY = KernelFamily(
    "planar_parts_conv",
    "3x3 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
    fusion=STATISTICS_BEHIND,
)
