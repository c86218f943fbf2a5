"""Dense KxK convolution, NHWC: the first 3x3 of the encoder and the 3x3 of the head."""

from __future__ import annotations

from math import prod

from tvm import s_tir, te, tirx

from compile.kernels.conv_epilogue import ConvEpilogue, accumulator_dtype, padding_value
from compile.kernels.kernel_function import create_kernel
from compile.kernels.neighbours import place_neighbours
from compile.kernels.register_loops import accumulate_in_registers
from compile.kernels.tiling import (
    VectorUnit,
    register_tile,
    rows_per_task,
)
from compile.kernels.window import (
    Window,
    WindowChoice,
    output_extents,
    tile_window,
    window_choices,
)

FAMILY = "spatial_conv"

Choice, choices = WindowChoice, window_choices


def create_spatial_conv(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    window: Window,
    data_dtype: str,
    weight_dtype: str,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data [1,H,W,I], weight [KH,KW,I,O], epilogue operands) -> [1,OH,OW,O].

    Beyond the edge stands the data's zero point, so that its share of the accumulator is the
    constant that the packer has folded into the bias.
    """
    _, height, width, channels_in = data_shape
    acc_dtype = accumulator_dtype(data_dtype, weight_dtype)
    data = te.placeholder(data_shape, data_dtype, name="data")
    weight = te.placeholder((*window.kernel, channels_in, channels_out), weight_dtype, "weight")
    operands = epilogue.operands(channels_out, acc_dtype)
    finish = epilogue.apply(operands)
    padded = window.pad(data, padding_value(data_dtype, operands))

    ky = te.reduce_axis((0, window.kernel[0]), name="ky")
    kx = te.reduce_axis((0, window.kernel[1]), name="kx")
    k = te.reduce_axis((0, channels_in), name="k")

    def multiply(b: tirx.Expr, y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        value = padded[b, y * window.stride[0] + ky, x * window.stride[1] + kx, k]
        product = value.astype(acc_dtype) * weight[ky, kx, k, n].astype(acc_dtype)
        return te.sum(product, axis=[ky, kx, k])

    shape = (1, *window.output_size(height, width), channels_out)
    conv = te.compute(shape, multiply, name="conv")
    out = te.compute(shape, lambda b, y, x, n: finish(conv[b, y, x, n], n), name="epilogue")
    macs = prod(shape) * prod(window.kernel) * channels_in
    return create_kernel(FAMILY, [data, weight, *operands], out, macs)


def builtin_choice(sch: s_tir.Schedule, unit: VectorUnit) -> Choice:
    """The tile with the most multiplies for each load."""
    rows, columns, channels = output_extents(sch)
    tile = register_tile(columns, channels, unit)
    return Choice(tile.pixels, tile.vectors, tile.lanes, rows_per_task(rows, unit))


def schedule(sch: s_tir.Schedule, unit: VectorUnit, choice: Choice | None = None) -> None:
    """Rows to threads, columns and channels to registers; cut by the built-in choice unless
    another one is given."""
    choice = choice or builtin_choice(sch, unit)
    tiled = tile_window(sch, unit, choice.tile, choice.rows)
    place_neighbours(sch, tiled.row, unit)
    accumulate_in_registers(
        sch, tiled.block, [tiled.column], tiled.channel, tiled.reduction, tiled.lanes
    )
