"""1x1 convolution of int8 by a dot product instruction, NHWC: a matrix product over packed weights.

A task takes a block of pixels: it brings their channels into the instruction's type once, and
multiplies them by all weights while they are in the level 1 cache.
"""

from __future__ import annotations

from tvm import s_tir, te, tirx

from compile.kernels.conv_epilogue import ConvEpilogue
from compile.kernels.dot_product import DotProduct
from compile.kernels.kernel_function import create_kernel
from compile.kernels.packed_loops import (
    DOT_PRODUCT_ATTR,
    accumulate_dot_products,
    dot_product_tile,
    finish_in_registers,
    take_dot_product,
    vectorize_operand,
)
from compile.kernels.packed_weight import packed_shape
from compile.kernels.tiling import VectorUnit, blocks_per_task

FAMILY = "packed_pointwise"


def create_packed_pointwise(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    dot: DotProduct,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight as :mod:`compile.kernels.packed_weight` has it,
    epilogue operands) -> [1,H,W,O]."""
    _, height, width, channels_in = data_shape
    data = te.placeholder(data_shape, "int8", name="data")
    shape = packed_shape(channels_out, (1, 1), channels_in, dot)
    weight = te.placeholder(shape, dot.weight_dtype, name="weight")
    vectors, _, _, groups, lanes, group = shape
    operands = epilogue.operands(channels_out, "int32")
    finish = epilogue.apply(operands)
    pixels = height * width

    padded = groups * group
    k = te.reduce_axis((0, padded), name="k")

    def value(pixel: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
        return data[0, pixel // width, pixel % width, k]

    def widened(pixel: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
        # The weights behind the last channel are zero: what they multiply does not matter.
        zero = tirx.const(0, dot.data_dtype)
        return tirx.if_then_else(k < channels_in, dot.widened(value(pixel, k)), zero)

    if dot.takes_int8 and padded == channels_in:
        operand, dtype = value, "int8"
    else:
        operand, dtype = te.compute((pixels, padded), widened, name="operand"), dot.data_dtype

    def multiply(pixel: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        by = weight[n // lanes, 0, 0, k // group, n % lanes, k % group]
        return te.sum(dot.product(operand(pixel, k), by, dtype), axis=k)

    attrs = {DOT_PRODUCT_ATTR: dot.name}
    conv = te.compute((pixels, vectors * lanes), multiply, name="conv", attrs=attrs)
    out = te.compute(
        (1, height, width, channels_out),
        lambda b, y, x, n: finish(conv[y * width + x, n], n),
        name="epilogue",
    )
    return create_kernel(
        FAMILY, [data, weight, *operands], out, pixels * channels_in * channels_out
    )


def schedule(sch: s_tir.Schedule, unit: VectorUnit) -> None:
    """Blocks of pixels to threads; in a block, tiles of pixels by vectors to registers."""
    epilogue, conv = sch.get_sblock("epilogue"), sch.get_sblock("conv")
    dot = take_dot_product(sch, conv, unit)
    _, _, width, channels = (int(sch.get(loop).extent) for loop in sch.get_loops(epilogue))
    sch.transform_block_layout(epilogue, lambda b, y, x, n: (y * width + x, n))
    pixel, channel, k = sch.get_loops(conv)
    pixels = int(sch.get(pixel).extent)
    tile = dot_product_tile(pixels, channels, dot, unit)
    k_bytes = int(sch.get(k).extent) * 4 // dot.group
    blocks = blocks_per_task(pixels // tile.pixels, tile.pixels * k_bytes, unit)

    task, block, pixel = sch.split(pixel, [None, blocks, tile.pixels])
    outer, vector, lane = sch.split(channel, [None, tile.vectors, tile.lanes])
    sch.reorder(task, outer, block, pixel, vector, lane)
    sch.reverse_compute_at(epilogue, block, preserve_unit_loops=True)
    sch.parallel(task)
    data_dtype = "int8"
    if sch.get_producers(conv):
        (operand,) = sch.get_producers(conv)
        data_dtype = dot.data_dtype
        sch.compute_at(operand, task, preserve_unit_loops=True)
        vectorize_operand(sch, operand, unit)
    finish_in_registers(sch, epilogue, tile.lanes)
    accumulate_dot_products(sch, conv, dot, data_dtype, [pixel, vector, lane])
