"""Depthwise convolution, NHWC, channel multiplier 1."""

from __future__ import annotations

from math import prod

from tvm import s_tir, te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, accumulator_dtype, padding_value
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import accumulate_in_registers
from compile.kernels.common.tiling import column_tile, rows_per_task
from compile.kernels.common.wide_weight import schedule_wide_weight, widen_weight
from compile.kernels.common.window import (
    Window,
    WindowConfiguration,
    output_extents,
    tile_window,
    window_configurations,
)
from compile.kernels.family import KernelFamily

Configuration = WindowConfiguration
configurations = window_configurations


def create_depthwise(
    data_shape: tuple[int, int, int, int],
    window: Window,
    data_dtype: str,
    weight_dtype: str,
    epilogue: ConvEpilogue,
    widens: bool = False,
) -> tirx.PrimFunc:
    """The kernel (data [1,H,W,C], weight [KH,KW,C], epilogue operands) -> [1,OH,OW,C]. ``widens``
    makes narrow weights wide before the loops where that pays."""
    _, height, width, channels = data_shape
    acc_dtype = accumulator_dtype(data_dtype, weight_dtype)
    data = te.placeholder(data_shape, data_dtype, name="data")
    weight = te.placeholder((*window.kernel, channels), weight_dtype, name="weight")
    operands = epilogue.operands(channels, acc_dtype)
    finish = epilogue.apply(operands)
    padded = window.pad(data, padding_value(data_dtype, operands))
    size = window.output_size(height, width)
    wide = widen_weight(weight, acc_dtype, prod(size)) if widens else weight

    ky = te.reduce_axis((0, window.kernel[0]), name="ky")
    kx = te.reduce_axis((0, window.kernel[1]), name="kx")

    def multiply(b: tirx.Expr, y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        value = padded[(b, *window.position(y, x, ky, kx), c)]
        product = value.astype(acc_dtype) * wide[ky, kx, c].astype(acc_dtype)
        return te.sum(product, axis=[ky, kx])

    shape = (1, *size, channels)
    conv = te.compute(shape, multiply, name="conv")
    out = te.compute(shape, lambda b, y, x, c: finish(conv[b, y, x, c], c), name="epilogue")
    macs = prod(shape) * prod(window.kernel)
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs)


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """One vector of channels over many pixels."""
    rows, columns, channels = output_extents(sch)
    tile = column_tile(columns, channels, core)
    return Configuration(tile.pixels, tile.vectors, tile.lanes, rows_per_task(rows, core))


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows to threads; a tile of columns and channels accumulates over the whole window; cut by
    the default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    schedule_wide_weight(sch, core)
    tiled = tile_window(sch, core, configuration.tile, configuration.rows)
    for loop in tiled.reduction:
        sch.unroll(loop)
    accumulate_in_registers(
        sch, tiled.block, [tiled.column], tiled.channel, tiled.reduction, tiled.lanes
    )


FAMILY = KernelFamily(
    "depthwise",
    "depthwise convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
)
