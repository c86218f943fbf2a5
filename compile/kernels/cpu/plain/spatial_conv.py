"""Dense KxK convolution, NHWC: the first 3x3 of the encoder and the 3x3 of the head."""

from __future__ import annotations

from math import prod

from tvm import s_tir, te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, accumulator_dtype, padding_value
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import accumulate_in_registers, finish_in_registers
from compile.kernels.common.tiling import (
    MOST_PIXELS,
    RegisterTile,
    largest_divisor,
    register_tile,
    register_tiles,
    row_blocks,
    rows_per_task,
)
from compile.kernels.common.wide_weight import schedule_wide_weight, widen_weight
from compile.kernels.common.window import (
    Window,
    WindowConfiguration,
    output_extents,
    vectorize_copy,
)
from compile.kernels.cpu.fused_neighbours import STATISTICS_BEHIND, place_neighbours
from compile.kernels.family import KernelFamily

Configuration = WindowConfiguration

#: Annotation of the block "conv": its groups, where there are some.
GROUPS_ATTR = "mqnet.groups"


def create_spatial_conv(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    window: Window,
    data_dtype: str,
    weight_dtype: str,
    epilogue: ConvEpilogue,
    weight_channels: int | None = None,
    groups: int = 1,
    widens: bool = False,
) -> tirx.PrimFunc:
    """The kernel (data [1,H,W,I], weight [KH,KW,I/groups,P], epilogue operands) -> [1,OH,OW,O].

    A convolution in ``groups`` reads for each output the inputs of its group. P is O, or
    ``weight_channels``, with zeros behind the last output so that vectors are filled.
    Beyond the edge stands the data's zero point, so that its share of the accumulator is the
    constant that the packer has folded into the bias. ``widens`` makes narrow weights wide before
    the loops where that pays.
    """
    _, height, width, channels_in = data_shape
    channels_in, outputs = channels_in // groups, channels_out // groups
    acc_dtype = accumulator_dtype(data_dtype, weight_dtype)
    data = te.placeholder(data_shape, data_dtype, name="data")
    width_of_weight = weight_channels or channels_out
    weight = te.placeholder((*window.kernel, channels_in, width_of_weight), weight_dtype, "weight")
    operands = epilogue.operands(channels_out, acc_dtype)
    finish = epilogue.apply(operands)
    padded = window.pad(data, padding_value(data_dtype, operands))
    size = window.output_size(height, width)
    wide = widen_weight(weight, acc_dtype, prod(size)) if widens else weight

    ky = te.reduce_axis((0, window.kernel[0]), name="ky")
    kx = te.reduce_axis((0, window.kernel[1]), name="kx")
    k = te.reduce_axis((0, channels_in), name="k")

    def multiply(b: tirx.Expr, y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        channel = k if groups == 1 else n // outputs * channels_in + k
        value = padded[(b, *window.position(y, x, ky, kx), channel)]
        product = value.astype(acc_dtype) * wide[ky, kx, k, n].astype(acc_dtype)
        return te.sum(product, axis=[ky, kx, k])

    attrs = {GROUPS_ATTR: groups} if groups > 1 else None
    conv = te.compute((1, *size, width_of_weight), multiply, name="conv", attrs=attrs)
    shape = (1, *size, channels_out)
    out = te.compute(shape, lambda b, y, x, n: finish(conv[b, y, x, n], n), name="epilogue")
    macs = prod(shape) * prod(window.kernel) * channels_in
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs)


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    rows, columns, channels = _extents(sch)
    return [
        Configuration(tile.pixels, tile.vectors, tile.lanes, block)
        for tile in register_tiles(columns, channels, core)
        if _is_whole(sch, tile)
        for block in row_blocks(rows, core)
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The tile with the most multiplies for each load."""
    rows, columns, channels = _extents(sch)
    tile = register_tile(columns, channels, core)
    if not _is_whole(sch, tile):
        vectors = channels // tile.lanes
        limit = min(core.registers // 2 // vectors, MOST_PIXELS)
        tile = RegisterTile(largest_divisor(columns, limit), vectors, tile.lanes)
    return Configuration(tile.pixels, tile.vectors, tile.lanes, rows_per_task(rows, core))


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows to threads, columns and channels to registers; cut by the default configuration unless
    another one is given."""
    configuration = configuration or default_configuration(sch, core)
    epilogue, conv, pad = (sch.get_sblock(name) for name in ("epilogue", "conv", "pad"))
    batch, row, column, channel, *reduction = sch.get_loops(conv)
    task, row = sch.split(row, [None, configuration.rows])
    outer_column, column = sch.split(column, [None, configuration.pixels])
    outer, channel = sch.split(channel, [None, configuration.vectors * configuration.lanes])
    sch.reorder(task, row, outer_column, outer, column, channel)
    task = sch.fuse(batch, task)
    sch.reverse_compute_at(epilogue, outer, preserve_unit_loops=True)
    sch.compute_at(pad, task, preserve_unit_loops=True)
    sch.parallel(task)
    vectorize_copy(sch, pad, core)
    finish_in_registers(sch, epilogue, configuration.lanes)
    place_neighbours(sch, row, core)
    schedule_wide_weight(sch, core)
    accumulate_in_registers(sch, conv, [column], channel, reduction, configuration.lanes)


def _extents(sch: s_tir.Schedule) -> tuple[int, int, int]:
    """(rows, columns, channels) of the block "conv"."""
    _, *axes = sch.get(sch.get_sblock("conv")).iter_vars
    rows, columns, channels = (int(axis.dom.extent) for axis in axes[:3])
    return rows, columns, channels


def _is_whole(sch: s_tir.Schedule, tile: RegisterTile) -> bool:
    """Whether no tile is cut: where the last vector stands over the channels' end, the tile has all
    vectors."""
    _, _, channels = _extents(sch)
    return output_extents(sch)[2] == channels or tile.vectors * tile.lanes == channels


FAMILY = KernelFamily(
    "spatial_conv",
    "3x3 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
    fusion=STATISTICS_BEHIND,
)
