"""1x1 convolution, NHWC: of floats, or of int8 on cores without a dot product instruction."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import s_tir, te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, accumulator_dtype
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import accumulate_in_registers, keep_in_registers
from compile.kernels.common.tiling import register_tile, register_tiles
from compile.kernels.common.wide_weight import schedule_wide_weight, widen_weight
from compile.kernels.common.window import output_extents
from compile.kernels.cpu.fused_neighbours import ALL_NEIGHBOURS, place_neighbours, row_loop
from compile.kernels.family import KernelFamily


def create_pointwise(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    data_dtype: str,
    weight_dtype: str,
    epilogue: ConvEpilogue,
    widens: bool = False,
) -> tirx.PrimFunc:
    """The kernel (data [1,H,W,K], weight [K,N], epilogue operands) -> [1,H,W,N].

    The weight's input zero point does not appear: the packer has folded it into the bias.
    ``widens`` makes narrow weights wide before the loops where that pays.
    """
    _, height, width, channels_in = data_shape
    acc_dtype = accumulator_dtype(data_dtype, weight_dtype)
    data = te.placeholder(data_shape, data_dtype, name="data")
    weight = te.placeholder((channels_in, channels_out), weight_dtype, name="weight")
    operands = epilogue.operands(channels_out, acc_dtype)
    finish = epilogue.apply(operands)
    wide = widen_weight(weight, acc_dtype, height * width) if widens else weight

    k = te.reduce_axis((0, channels_in), name="k")

    def multiply(y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        value = data[0, y, x, k]
        return te.sum(value.astype(acc_dtype) * wide[k, n].astype(acc_dtype), axis=k)

    conv = te.compute((height, width, channels_out), multiply, name="conv")
    out = te.compute(
        (1, height, width, channels_out),
        lambda b, y, x, n: finish(conv[y, x, n], n),
        name="epilogue",
    )
    return create_kernel(
        FAMILY.name, [data, weight, *operands], out, height * width * channels_in * channels_out
    )


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        pixels, vectors, lanes: of the register tile.
    """

    pixels: int
    vectors: int
    lanes: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    _, columns, channels = output_extents(sch)
    tiles = register_tiles(columns, channels, core)
    return [Configuration(tile.pixels, tile.vectors, tile.lanes) for tile in tiles]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The tile with the most multiplies for each load."""
    _, columns, channels = output_extents(sch)
    tile = register_tile(columns, channels, core)
    return Configuration(tile.pixels, tile.vectors, tile.lanes)


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows to threads, columns and channels to registers with the epilogue in the same tile; cut
    by the default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    epilogue, conv = sch.get_sblock("epilogue"), sch.get_sblock("conv")
    row = row_loop(sch, epilogue, core)
    *_, column, channel = sch.get_loops(epilogue)
    column_outer, column = sch.split(column, [None, configuration.pixels])
    channel_outer, vector, lane = sch.split(
        channel, [None, configuration.vectors, configuration.lanes]
    )
    sch.reorder(column_outer, channel_outer, column, vector, lane)
    sch.compute_at(conv, channel_outer, preserve_unit_loops=True)
    sch.parallel(row)
    keep_in_registers(sch, [column, vector], lane)
    place_neighbours(sch, row, core)
    schedule_wide_weight(sch, core)

    *_, column, channel, k = sch.get_loops(conv)
    accumulate_in_registers(sch, conv, [column], channel, [k], configuration.lanes)


FAMILY = KernelFamily(
    "pointwise",
    "1x1 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
    fusion=ALL_NEIGHBOURS,
)
