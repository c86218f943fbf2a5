"""Depthwise convolution of int8 by a dot product instruction, NHWC, channel multiplier 1.

The instruction adds up products within a lane, so neighbouring taps of one channel have to lie in
one lane. Those of a column do: a word holds the numbers of up to ``group`` rows, and is made once
for all outputs whose windows the column lies in. An instruction with ``taps`` adds up in
another way, and needs no words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import s_tir, te, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV
from tvm.tirx import ForKind

from compile.kernels.common.conv_epilogue import ConvEpilogue, padding_value
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import AccumulatorStart, create_kernel
from compile.kernels.common.register_loops import keep_in_registers
from compile.kernels.common.tiling import (
    MOST_PIXELS,
    RegisterTile,
    divisors,
    even_lanes,
    largest_divisor,
    row_blocks,
    rows_per_task,
)
from compile.kernels.common.window import Window, output_extents, tile_window
from compile.kernels.cpu.instructions.dot_intrinsics import lanewise_intrinsic, word_intrinsic
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import annotated_dot_product
from compile.kernels.cpu.instructions.tap_intrinsics import TAP_SUMS, taps_intrinsic
from compile.kernels.cpu.int8.int8_loops import (
    DOT_PRODUCT_ATTR,
    MOST_BYTES,
    STRIDE_ATTR,
    separate_start,
    take_annotations,
)
from compile.kernels.cpu.int8.int8_pointwise import accumulator_start
from compile.kernels.family import KernelFamily

#: PrimFunc attribute: kernel, stride and padding of the window.
_WINDOW_ATTR = "mqnet.window"


def create_int8_depthwise(
    data_shape: tuple[int, int, int, int],
    window: Window,
    dot: DotProduct,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,C], weight as :func:`pack_depthwise` has it, epilogue operands)
    -> [1,OH,OW,C]."""
    _, height, width, channels = data_shape
    rows, columns = window.kernel
    words = words_of_column(rows, dot)
    data = te.placeholder(data_shape, "int8", name="data")
    shape = depthwise_shape(channels, window.kernel, dot)
    weight = te.placeholder(shape, dot.weight_dtype, name="weight")
    operands = epilogue.operands(channels, "int32")
    start = accumulator_start(epilogue, operands, channels, dot)
    finish = epilogue.apply(operands, is_started=start is not None)
    padded = window.pad(data, padding_value("int8", operands), convert=dot.shifted_byte)
    output_rows, output_columns = window.output_size(height, width)
    attrs = {DOT_PRODUCT_ATTR: dot.name, STRIDE_ATTR: window.stride[1]}
    if dot.taps is not None:
        ky = te.reduce_axis((0, rows), name="ky")
        kx = te.reduce_axis((0, columns), name="kx")

        def multiply_taps(y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
            value = padded[(0, *window.position(y, x, ky, kx), c)]
            init = None if start is None else start.value(y, x, c)
            return te.sum(dot.product(value, weight[ky, kx, c], "int8"), axis=[ky, kx], init=init)

        conv_shape = (output_rows, output_columns, channels)
        conv = te.compute(conv_shape, multiply_taps, name="conv", attrs=attrs)
        return _finished(data, weight, conv, operands, finish, window, start)

    def word(y: tirx.Expr, x: tirx.Expr, *wc: tirx.Expr) -> tirx.Expr:
        w, c = wc if words > 1 else (0, *wc)
        return column_word(dot, rows, w, lambda row: padded[0, y * window.stride[0] + row, x, c])

    padded_columns = int(padded.shape[2])
    # TVM does not move a tensorized block that has an axis of one iteration.
    word_axis = (words,) if words > 1 else ()
    operand_shape = (output_rows, padded_columns, *word_axis, channels)
    operand = te.compute(operand_shape, word, name="operand")
    w = te.reduce_axis((0, words), name="w")
    kx = te.reduce_axis((0, columns), name="kx")
    g = te.reduce_axis((0, dot.group), name="g")

    def multiply(y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        which = (w,) if words > 1 else ()
        value = dot.member(operand[(y, x * window.stride[1] + kx, *which, c)], g)
        init = None if start is None else start.value(y, x, c)
        product = dot.product(value, weight[w, kx, c, g], dot.data_dtype)
        return te.sum(product, axis=[w, kx, g], init=init)

    conv = te.compute(
        (output_rows, output_columns, channels),
        multiply,
        name="conv",
        attrs=attrs,
    )
    return _finished(data, weight, conv, operands, finish, window, start)


def _finished(
    data: te.Tensor,
    weight: te.Tensor,
    conv: te.Tensor,
    operands: list[te.Tensor],
    finish: Callable[[tirx.Expr, tirx.Expr], tirx.Expr],
    window: Window,
    start: AccumulatorStart | None,
) -> tirx.PrimFunc:
    """The kernel that ends in the epilogue of "conv"."""
    shape = tuple(int(extent) for extent in conv.shape)
    out = te.compute((1, *shape), lambda b, y, x, c: finish(conv[y, x, c], c), name="epilogue")
    macs = prod(shape) * prod(window.kernel)
    starts = [start] if start is not None else []
    kernel = create_kernel(FAMILY.name, [data, weight, *operands], out, macs, starts)
    return kernel.with_attr(_WINDOW_ATTR, [*window.kernel, *window.stride, *window.padding])


def window_of(kernel: tirx.PrimFunc) -> Window:
    """The window of a kernel of this family."""
    rows, columns, down, across, top, left, bottom, right = (
        int(number) for number in kernel.attrs[_WINDOW_ATTR]
    )
    return Window((rows, columns), (down, across), (top, left, bottom, right))


def words_of_column(rows: int, dot: DotProduct) -> int:
    """How many words hold a window's column of ``rows``; 0 where the instruction needs none."""
    return 0 if dot.taps is not None else -(-rows // dot.group)


def depthwise_shape(channels: int, kernel: tuple[int, int], dot: DotProduct) -> tuple[int, ...]:
    """Shape of the weights of :func:`pack_depthwise`."""
    rows, columns = kernel
    if dot.taps is not None:
        return rows, columns, channels
    return words_of_column(rows, dot), columns, channels, dot.group


def column_word(
    dot: DotProduct, rows: int, w: tirx.Expr, value: Callable[[tirx.Expr], tirx.Expr]
) -> tirx.Expr:
    """Word ``w`` of those that hold a window's column: int8 ``value(row)`` of its ``rows``."""
    members = []
    for g in range(min(dot.group, rows)):
        row = w * dot.group + g
        member = value(row)
        if (-(-rows // dot.group) - 1) * dot.group + g >= rows:
            # The last word has no row here, and a zero among the weights.
            member = tirx.if_then_else(row < rows, member, tirx.const(0, "int8"))
        members.append(member)
    word = dot.word(members)
    last = -(-rows // dot.group) - 1
    if dot.keeps_weights and rows - last * dot.group == 1:
        # What the upper half holds is multiplied by zero: the sign, which costs nothing.
        word = tirx.if_then_else(w < last, word, value(w * dot.group).astype("int32"))
    return word


def pack_depthwise(weight: NDArray[np.int8], dot: DotProduct) -> NDArray:
    """``weight`` [C,1,KH,KW] as [ceil(KH/group),KW,C,group], zeros below the last row; as [KH,KW,C]
    for an instruction with ``taps``."""
    channels, _, rows, columns = weight.shape
    if dot.taps is not None:
        return np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0)).astype(dot.weight_dtype)
    words = words_of_column(rows, dot)
    padded = np.pad(weight[:, 0], [(0, 0), (0, words * dot.group - rows), (0, 0)])
    split = padded.reshape(channels, words, dot.group, columns)
    return np.ascontiguousarray(split.transpose(1, 3, 0, 2)).astype(dot.weight_dtype)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        columns, channels: of the tile that is kept in registers.
        rows: that one task takes.
    """

    columns: int
    channels: int
    rows: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    extents = _extents(sch, core)
    lanes = extents.lanes
    runs = [lanes * n for n in (1, 2, 4) if extents.channels % (lanes * n) == 0]
    return [
        Configuration(columns, run, rows)
        for run in runs
        for columns in divisors(
            extents.columns, min(extents.columns_in(core.registers, run), 2 * MOST_PIXELS)
        )
        for rows in row_blocks(extents.rows, core)
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The columns of :meth:`DepthwiseExtents.default_columns`."""
    extents = _extents(sch, core)
    dot = extents.dot
    run = even_lanes(extents.channels, max(dot.depthwise_channels, extents.lanes))
    columns = extents.default_columns(core.registers, run)
    return Configuration(columns, run, rows_per_task(extents.rows, core))


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows to threads; the words, accumulators and results of a tile of columns by a few vectors of
    channels are registers; cut by the default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    extents = _extents(sch, core)
    dot = extents.dot
    conv = sch.get_sblock("conv")
    take_annotations(sch, conv)
    tile = RegisterTile(configuration.columns, 1, configuration.channels)
    if dot.taps is not None:
        tiled = tile_window(sch, core, tile, configuration.rows)
        accumulate_taps(sch, conv, tiled.column, tiled.channel, tiled.reduction, dot)
        return
    operand = sch.get_sblock("operand")
    operand = vectorize_words(sch, operand, extents.words, configuration.channels, dot)
    tiled = tile_window(sch, core, tile, configuration.rows)
    unroll_words(sch, operand, 4, dot)
    accumulate_by_lane(sch, conv, tiled.column, tiled.channel, tiled.reduction, dot)


@dataclass(frozen=True)
class DepthwiseExtents:
    """Of the result, of the window and of the words that it is made of."""

    rows: int
    columns: int
    channels: int
    kernel_columns: int
    words: int
    stride: int
    dot: DotProduct

    @property
    def lanes(self) -> int:
        """Channels that a tile has at least."""
        taps = self.dot.taps
        return self.dot.dividing_lanes(self.channels) if taps is None else taps.lanes[-1]

    def default_columns(self, registers: int, run: int) -> int:
        """Of the default tile of ``run`` channels. Half of the ``registers`` are accumulators; of
        taps a quarter, for their data is in registers for as many columns."""
        accumulators = registers // (2 if self.dot.taps is None else 4)
        return largest_divisor(self.columns, min(self.columns_in(accumulators, run), MOST_PIXELS))

    def columns_in(self, registers: int, run: int) -> int:
        """Of a tile of ``run`` channels whose accumulators fill so many ``registers``, and whose
        words TVM leaves in others."""
        if self.dot.taps is not None:
            return min(registers * TAP_SUMS, MOST_BYTES // 4) // run
        word_columns = MOST_BYTES // (run * 4 * self.words)
        most = (word_columns - self.kernel_columns) // self.stride + 1
        return min(registers * self.lanes // run, most)


def _extents(sch: s_tir.Schedule, core: CpuCore) -> DepthwiseExtents:
    conv = sch.get(sch.get_sblock("conv"))
    dot = annotated_dot_product(conv.annotations[DOT_PRODUCT_ATTR], core.bits)
    stride = int(conv.annotations[STRIDE_ATTR])
    words, kernel_columns = 0, int(conv.iter_vars[-1].dom.extent)
    if dot.taps is None:
        words, kernel_columns, _ = (int(axis.dom.extent) for axis in conv.iter_vars[-3:])
    return DepthwiseExtents(*output_extents(sch), kernel_columns, words, stride, dot)


def vectorize_words(
    sch: s_tir.Schedule, operand: SBlockRV, words: int, run: int, dot: DotProduct
) -> SBlockRV:
    """Make the words of ``run`` channels at once; the block that does.

    Before it is moved to its tile: TVM's tensorize mistakes the columns that neighbouring tiles
    share for columns of their own.
    """
    *_, rows, _, _ = sch.get(operand).reads[0].region
    channel = sch.get_loops(operand)[-1]
    _, lane = sch.split(channel, [None, run])
    is_movable = all(int(sch.get(loop).extent) > 1 for loop in sch.get_loops(operand))
    if words > 1 or not dot.takes_int8 or not is_movable:
        sch.vectorize(lane)
        return operand
    block = sch.blockize(lane)
    sch.tensorize(block, word_intrinsic(dot, int(rows.extent), run))
    return block


def unroll_words(sch: s_tir.Schedule, operand: SBlockRV, outside: int, dot: DotProduct) -> None:
    """Unroll the loops of a tile's words, which has so many loops ``outside``."""
    *loops, channel = sch.get_loops(operand)[outside:]
    if dot.keeps_weights and int(sch.get(channel).extent) > 1:
        # Moving the block has made a plain loop of its vectors.
        sch.vectorize(channel)
    else:
        loops.append(channel)
    for loop in loops:
        if sch.get(loop).kind != ForKind.VECTORIZED:
            sch.unroll(loop)


def accumulate_by_lane(
    sch: s_tir.Schedule,
    conv: SBlockRV,
    column: LoopRV,
    channel: LoopRV,
    reduction: list[LoopRV],
    dot: DotProduct,
) -> None:
    """Put the ``reduction`` of "conv", the last of it over the group in a word, around the loops
    of its tile, and the instruction into the place of the innermost ones."""
    *taps, group = reduction
    lanes = dot.dividing_lanes(int(sch.get(channel).extent))
    vector, lane = sch.split(channel, [None, lanes])
    sch.reorder(*taps, column, vector, lane, group)
    for loop in (*taps, column, vector):
        sch.unroll(loop)
    init = separate_start(sch, conv, taps[0])
    *_, init_column, init_vector, init_lane = sch.get_loops(init)
    keep_in_registers(sch, [init_column, init_vector], init_lane)
    sch.tensorize(lane, lanewise_intrinsic(dot, lanes))


def accumulate_taps(
    sch: s_tir.Schedule,
    conv: SBlockRV,
    column: LoopRV,
    channel: LoopRV,
    reduction: list[LoopRV],
    dot: DotProduct,
) -> None:
    """Put the instructions into the place of the ``reduction`` of "conv", all taps of its window,
    for each vector of its tile."""
    rows, columns = (int(sch.get(loop).extent) for loop in reduction)
    kernel = rows, columns
    lanes = dot.find_depthwise_lanes(int(sch.get(channel).extent), kernel)
    assert dot.taps is not None and lanes is not None
    vector, lane = sch.split(channel, [None, lanes])
    sch.reorder(column, vector, lane, *reduction)
    for loop in (column, vector):
        sch.unroll(loop)
    init = separate_start(sch, conv, lane)
    sch.vectorize(sch.get_loops(init)[-1])
    sch.tensorize(lane, taps_intrinsic(dot.taps, dot.name, kernel, lanes))


FAMILY = KernelFamily(
    "packed_depthwise",
    "depthwise convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
)
