"""Depthwise convolution of int8 by a dot product instruction, NHWC, channel multiplier 1.

The instruction adds up products within a lane, so neighbouring taps of one channel have to lie in
one lane. Those of a column do: a word holds the numbers of up to ``group`` rows, and is made once
for all outputs whose windows the column lies in.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import s_tir, te, tirx

from compile.kernels.conv_epilogue import ConvEpilogue, padding_value
from compile.kernels.dot_intrinsics import lanewise_intrinsic
from compile.kernels.dot_product import DotProduct
from compile.kernels.kernel_function import create_kernel
from compile.kernels.packed_loops import DOT_PRODUCT_ATTR, MOST_BYTES, STRIDE_ATTR, take_dot_product
from compile.kernels.register_loops import keep_in_registers
from compile.kernels.tiling import RegisterTile, VectorUnit, largest_divisor
from compile.kernels.window import Window, tile_window

FAMILY = "packed_depthwise"


def create_packed_depthwise(
    data_shape: tuple[int, int, int, int],
    window: Window,
    dot: DotProduct,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,C], weight as :func:`pack_depthwise` has it, epilogue operands)
    -> [1,OH,OW,C]."""
    _, height, width, channels = data_shape
    rows, columns = window.kernel
    words = -(-rows // dot.group)
    data = te.placeholder(data_shape, "int8", name="data")
    shape = (words, columns, channels, dot.group)
    weight = te.placeholder(shape, dot.weight_dtype, name="weight")
    operands = epilogue.operands(channels, "int32")
    finish = epilogue.apply(operands)
    padded = window.pad(data, padding_value("int8", operands))

    def word(y: tirx.Expr, x: tirx.Expr, w: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        members = []
        for g in range(min(dot.group, rows)):
            row = w * dot.group + g
            value = padded[0, y * window.stride[0] + row, x, c]
            if (words - 1) * dot.group + g >= rows:
                # The last word has no row here, and a zero among the weights.
                value = tirx.if_then_else(row < rows, value, tirx.const(0, "int8"))
            members.append(value)
        return dot.word(members)

    output_rows, output_columns = window.output_size(height, width)
    padded_columns = int(padded.shape[2])
    operand = te.compute((output_rows, padded_columns, words, channels), word, name="operand")
    w = te.reduce_axis((0, words), name="w")
    kx = te.reduce_axis((0, columns), name="kx")
    g = te.reduce_axis((0, dot.group), name="g")

    def multiply(y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        value = dot.member(operand[y, x * window.stride[1] + kx, w, c], g)
        return te.sum(dot.product(value, weight[w, kx, c, g], "int8"), axis=[w, kx, g])

    conv = te.compute(
        (output_rows, output_columns, channels),
        multiply,
        name="conv",
        attrs={DOT_PRODUCT_ATTR: dot.name, STRIDE_ATTR: window.stride[1]},
    )
    out = te.compute(
        (1, output_rows, output_columns, channels),
        lambda b, y, x, c: finish(conv[y, x, c], c),
        name="epilogue",
    )
    macs = output_rows * output_columns * channels * prod(window.kernel)
    return create_kernel(FAMILY, [data, weight, *operands], out, macs)


def pack_depthwise(weight: NDArray[np.int8], dot: DotProduct) -> NDArray:
    """``weight`` [C,1,KH,KW] as [ceil(KH/group),KW,C,group], zeros below the last row."""
    channels, _, rows, columns = weight.shape
    words = -(-rows // dot.group)
    padded = np.pad(weight[:, 0], [(0, 0), (0, words * dot.group - rows), (0, 0)])
    split = padded.reshape(channels, words, dot.group, columns)
    return np.ascontiguousarray(split.transpose(1, 3, 0, 2)).astype(dot.weight_dtype)


def schedule(sch: s_tir.Schedule, unit: VectorUnit) -> None:
    """Rows to threads; the words, accumulators and results of a tile of columns by one vector of
    channels are registers."""
    conv, operand = sch.get_sblock("conv"), sch.get_sblock("operand")
    dot, stride = take_dot_product(sch, conv, unit)
    kernel_columns = int(sch.get(sch.get_loops(conv)[4]).extent)
    words = int(sch.get(sch.get_loops(operand)[2]).extent)

    def choose_tile(columns: int, channels: int, unit: VectorUnit) -> RegisterTile:
        lanes = dot.dividing_lanes(channels)
        word_columns = MOST_BYTES // (lanes * 4 * words)
        limit = min(unit.registers // 4, (word_columns - kernel_columns) // stride + 1)
        return RegisterTile(largest_divisor(columns, limit), 1, lanes)

    tiled = tile_window(sch, unit, choose_tile)
    *made, channel = sch.get_loops(operand)[4:]
    keep_in_registers(sch, made, channel)
    word, column, group = tiled.reduction
    sch.reorder(word, column, tiled.column, tiled.channel, group)
    for loop in (word, column, tiled.column):
        sch.unroll(loop)
    init = sch.decompose_reduction(conv, word)
    keep_in_registers(sch, sch.get_loops(init)[-2:-1], sch.get_loops(init)[-1])
    sch.tensorize(tiled.channel, lanewise_intrinsic(dot, tiled.lanes))
