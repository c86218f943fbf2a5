"""1x1 convolution of int8 by a dot product instruction, NHWC: a matrix product over packed weights.

A task takes a block of pixels: it brings their channels into the instruction's type once, and
multiplies them by all weights while they are in the level 1 cache.
"""

from __future__ import annotations

from dataclasses import replace

from tvm import s_tir, te, tirx

from compile.kernels.conv_epilogue import ConvEpilogue
from compile.kernels.dot_product import DotProduct
from compile.kernels.kernel_function import create_kernel
from compile.kernels.packed_loops import (
    DOT_PRODUCT_ATTR,
    STRIDE_ATTR,
    accumulate_dot_products,
    dot_product_tile,
    finish_in_registers,
    take_dot_product,
    vectorize_operand,
)
from compile.kernels.packed_weight import packed_shape
from compile.kernels.tiling import VectorUnit, pixels_per_task

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

    padded = groups * group
    k = te.reduce_axis((0, padded), name="k")

    def value(y: tirx.Expr, x: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
        return data[0, y, x, k]

    def widened(y: tirx.Expr, x: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
        # The weights behind the last channel are zero: what they multiply does not matter.
        zero = tirx.const(0, dot.data_dtype)
        return tirx.if_then_else(k < channels_in, dot.widened(value(y, x, k)), zero)

    if dot.takes_int8 and padded == channels_in:
        operand, dtype = value, "int8"
    else:
        operand, dtype = te.compute((height, width, padded), widened, "operand"), dot.data_dtype

    def multiply(y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        by = weight[n // lanes, 0, 0, k // group, n % lanes, k % group]
        return te.sum(dot.product(operand(y, x, k), by, dtype), axis=k)

    attrs = {DOT_PRODUCT_ATTR: dot.name, STRIDE_ATTR: 1}
    conv = te.compute((height, width, vectors * lanes), multiply, name="conv", attrs=attrs)
    out = te.compute(
        (1, height, width, channels_out),
        lambda b, y, x, n: finish(conv[y, x, n], n),
        name="epilogue",
    )
    macs = height * width * channels_in * channels_out
    return create_kernel(FAMILY, [data, weight, *operands], out, macs)


def schedule(sch: s_tir.Schedule, unit: VectorUnit) -> None:
    """Blocks of pixels to threads; in a block, tiles of pixels by vectors to registers."""
    epilogue, conv = sch.get_sblock("epilogue"), sch.get_sblock("conv")
    dot, _ = take_dot_product(sch, conv, unit)
    row, column, channel, k = sch.get_loops(conv)
    rows, columns, groups = (int(sch.get(loop).extent) for loop in (row, column, k))
    groups //= dot.group
    channels = int(sch.get(sch.get_loops(epilogue)[-1]).extent)
    tile = dot_product_tile(columns, channels, groups, dot, unit)
    operands = sch.get_producers(conv)
    if not operands:
        tile = replace(tile, data_dtype="int8")

    # A group fills 32 bits, whatever its type.
    block_rows, block_columns = pixels_per_task(rows, columns, tile.pixels, groups * 4, unit)
    task_row, row = sch.split(row, [None, block_rows])
    task_column, column, pixel = sch.split(
        column, [None, block_columns // tile.pixels, tile.pixels]
    )
    outer, channel = sch.split(channel, [None, tile.vectors * tile.lanes])
    sch.reorder(task_row, task_column, outer, row, column, pixel, channel)
    task = sch.fuse(task_row, task_column)
    sch.reverse_compute_at(epilogue, column, preserve_unit_loops=True)
    sch.parallel(task)
    for operand in operands:
        sch.compute_at(operand, task, preserve_unit_loops=True)
        vectorize_operand(sch, operand, unit)
    finish_in_registers(sch, epilogue, tile.lanes)
    accumulate_dot_products(sch, conv, dot, tile, pixel, channel)
