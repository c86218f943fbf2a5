"""Dense KxK convolution of int8 by a dot product instruction, NHWC."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import tvm
from tvm import s_tir, te, tirx
from tvm.s_tir.schedule import SBlockRV

from compile.kernels.common.conv_epilogue import ConvEpilogue, padding_value
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import finish_in_registers
from compile.kernels.common.tiling import row_blocks, rows_per_task
from compile.kernels.common.window import Window
from compile.kernels.cpu.fused_neighbours import STATISTICS_BEHIND, place_neighbours
from compile.kernels.cpu.instructions.dot_intrinsics import DotTile
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.int8_loops import (
    DOT_PRODUCT_ATTR,
    STRIDE_ATTR,
    PackedExtents,
    accumulate_dot_products,
    dot_product_tile,
    dot_product_tiles,
    innermost_blocks,
    packed_extents,
    take_annotations,
    vectorize_operand,
)
from compile.kernels.cpu.int8.int8_pointwise import accumulator_start
from compile.kernels.cpu.int8.packed_weight import packed_at, packed_shape, packed_vectors
from compile.kernels.family import KernelFamily


def create_int8_conv(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    window: Window,
    dot: DotProduct,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight as :mod:`compile.kernels.cpu.int8.packed_weight` has
    it, epilogue operands) -> [1,OH,OW,O].

    Beyond the edge stands the data's zero point, so that its share of the accumulator is the
    constant that the packer has folded into the bias.
    """
    _, height, width, channels_in = data_shape
    data = te.placeholder(data_shape, "int8", name="data")
    shape = packed_shape(channels_out, window.kernel, channels_in, dot)
    weight = te.placeholder(shape, dot.weight_dtype, name="weight")
    lanes, group = shape[-2:]
    groups = -(-channels_in // group)
    operands = epilogue.operands(channels_out, "int32")
    start = accumulator_start(epilogue, operands, channels_out, dot)
    finish = epilogue.apply(operands, is_started=start is not None)
    # The weights behind the last channel are zero: what they multiply does not matter.
    operand = window.pad(
        data, padding_value("int8", operands), groups * group, dot.widened, name="operand"
    )
    ky = te.reduce_axis((0, window.kernel[0]), name="ky")
    kx = te.reduce_axis((0, window.kernel[1]), name="kx")
    k = te.reduce_axis((0, groups * group), name="k")

    def multiply(y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        value = operand[(0, *window.position(y, x, ky, kx), k)]
        by = packed_at(weight, dot, (n // lanes, n % lanes), (ky, kx), k)
        init = None if start is None else start.value(y, x, n)
        return te.sum(dot.product(value, by, dot.data_dtype), axis=[ky, kx, k], init=init)

    size = window.output_size(height, width)
    attrs = {DOT_PRODUCT_ATTR: dot.name, STRIDE_ATTR: window.stride[1]}
    conv = te.compute(
        (*size, packed_vectors(weight, dot) * lanes), multiply, name="conv", attrs=attrs
    )
    out = te.compute(
        (1, *size, channels_out), lambda b, y, x, n: finish(conv[y, x, n], n), name="epilogue"
    )
    macs = prod(size) * channels_out * prod(window.kernel) * channels_in
    starts = [start] if start is not None else []
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs, starts)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        pixels, vectors, steps: of the register tile.
        rows: that one task takes.
        channels_outside: a row is gone through once for every tile of channels, and not the
            channels for every tile of the row.
    """

    pixels: int
    vectors: int
    steps: int
    rows: int
    channels_outside: bool

    def tile(self, extents: PackedExtents, lanes: int) -> DotTile:
        """The register tile for ``extents`` in vectors of ``lanes``."""
        return DotTile(
            self.pixels, self.vectors, lanes, self.steps, extents.stride, extents.dot.data_dtype
        )


def configurations_for(extents: PackedExtents, core: CpuCore) -> list[Configuration]:
    """All for ``extents`` that can be scheduled and are worth a try."""
    return [
        Configuration(tile.pixels, tile.vectors, tile.steps, rows, channels_outside)
        for tile in dot_product_tiles(extents, core)
        for rows in row_blocks(extents.rows, core)
        for channels_outside in (True, False)
    ]


def default_for(extents: PackedExtents, core: CpuCore) -> Configuration:
    """The tile for ``extents`` with the fewest loads."""
    tile = dot_product_tile(extents, core)
    rows = rows_per_task(extents.rows, core)
    return Configuration(tile.pixels, tile.vectors, tile.steps, rows, channels_outside=True)


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    return configurations_for(packed_extents(sch, core), core)


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The tile with the fewest loads."""
    return default_for(packed_extents(sch, core), core)


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows to threads, columns and channels to registers; cut by the default configuration unless
    another one is given."""
    configuration = configuration or default_configuration(sch, core)
    extents = packed_extents(sch, core)
    dot = extents.dot
    tile = configuration.tile(extents, dot.lanes_for(extents.channels))
    epilogue, conv, operand = (sch.get_sblock(n) for n in ("epilogue", "conv", "operand"))
    take_annotations(sch, conv)
    row, column, channel, *_ = sch.get_loops(conv)
    task, row = sch.split(row, [None, configuration.rows])
    outer_column, column = sch.split(column, [None, tile.pixels])
    outer, channel = sch.split(channel, [None, tile.vectors * tile.lanes])
    tiles = [outer, outer_column] if configuration.channels_outside else [outer_column, outer]
    sch.reorder(task, row, *tiles, column, channel)
    sch.reverse_compute_at(epilogue, tiles[-1], preserve_unit_loops=True)
    sch.compute_at(operand, task, preserve_unit_loops=True)
    sch.parallel(task)
    for part in _column_parts(sch, operand, dot):
        vectorize_operand(sch, part, core)
    finish_in_registers(sch, epilogue, tile.lanes)
    place_neighbours(sch, row, core)
    accumulate_dot_products(sch, conv, dot, tile, column, channel)


def _column_parts(sch: s_tir.Schedule, operand: SBlockRV, dot: DotProduct) -> list[SBlockRV]:
    """The block "operand" for the columns within the feature map and for those beyond, where it
    moves bytes as they are to pixels of more channels: LLVM makes vectors of many pixels of that if
    no condition is in between. Elsewhere as it is."""
    block = sch.get(operand)
    region = block.reads[0]
    width, channels = (int(extent) for extent in region.source.ty.shape[2:])
    loop, channel = sch.get_loops(operand)[-2:]
    columns = int(sch.get(loop).extent)
    column = block.iter_vars[2].var
    left = int(tvm.sym.Analyzer().simplify(column - region.region[2].min))
    inside = min(width, columns - left)
    if dot.shift or not dot.takes_int8 or channels == int(sch.get(channel).extent):
        return [operand]
    if left + inside == columns and not left:
        return [operand]
    parts = [count for count in (left, inside, columns - left - inside) if count]
    name = str(block.name_hint)
    sch.loop_partition(loop, [*parts[:-1], None])
    return [
        leaf
        for child in sch.get_child_blocks(sch.get_sblock("root"))
        if str(sch.get(child).name_hint).startswith(name)
        for leaf in innermost_blocks(sch, child)
    ]


FAMILY = KernelFamily(
    "packed_conv",
    "3x3 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
    fusion=STATISTICS_BEHIND,
)
