"""Dense 3x3 convolution of int8 by the Winograd transform, NHWC: see
:mod:`compile.kernels.cpu.int8.winograd`.

The data of a block of tiles is transformed, rows first, then columns. For a few vectors of output
channels each of the 36 numbers of a tile is then a 1x1 convolution of its own, by an instruction on
pairs of int16; their sums are transformed back and requantized.

A dilated convolution is several of every n-th row and column: the tiles of one of them stand
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from tvm import s_tir, te, tirx
from tvm.s_tir.schedule import SBlockRV

from compile.kernels.common.conv_epilogue import ConvEpilogue, padding_value
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.tiling import divisors, even_lanes, largest_divisor
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_intrinsics import DotTile
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import annotated_dot_product
from compile.kernels.cpu.int8.int8_loops import (
    DOT_PRODUCT_ATTR,
    STRIDE_ATTR,
    accumulate_dot_products,
    take_annotations,
    vectorize_operand,
)
from compile.kernels.cpu.int8.packed_weight import packed_shape
from compile.kernels.cpu.int8.winograd import (
    RESULTS,
    TAPS,
    accumulator,
    transform_data,
    transform_sums,
)
from compile.kernels.family import KernelFamily

#: With fewer channels, the transforms take as long as the multiplications that they save.
_FEWEST_CHANNELS = 32

#: With fewer tiles, the weights, which are eight times as large, are read too often.
_FEWEST_TILES = 16

#: Tiles that one task of the default configuration takes.
_TILES = 16

#: Tiles in registers of the default configuration, and the most of any: with more accumulators each
#: gets its few products later, and nothing hides the stores between them.
_PIXELS, _MOST_PIXELS, _MOST_VECTORS = 4, 8, 4

#: Output channels of the default register tile.
_CHANNELS = 16

#: Weights that are larger than so many level 2 caches are in memory when the next frame comes.
_CACHES = 4


def serves_winograd(
    size: tuple[int, int], weight_shape: tuple[int, ...], window: Window, pairs: DotProduct
) -> bool:
    """Whether there is a kernel for a dense convolution of OIHW weights with a result of ``size``
    rows and columns, by an instruction on ``pairs``, and it pays."""
    channels, channels_in = weight_shape[:2]
    step = RESULTS * window.dilation[0]
    return (
        window.kernel == (3, 3)
        and window.stride == (1, 1)
        and window.dilation[0] == window.dilation[1]
        and size[0] % step == size[1] % step == 0
        and prod(size) >= _FEWEST_TILES * RESULTS**2
        and min(channels, channels_in) >= _FEWEST_CHANNELS
        and channels % pairs.lanes_for(channels) == 0
    )


def create_winograd_conv(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    window: Window,
    pairs: DotProduct,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight as :mod:`compile.kernels.cpu.int8.packed_weight` has
    it of what :func:`compile.kernels.cpu.int8.winograd.transform_weight` returns, epilogue
    operands) -> [1,OH,OW,O], where :func:`serves_winograd` says that there is one.

    Beyond the edge stands the data's zero point, as for :mod:`compile.kernels.cpu.int8.int8_conv`.
    """
    _, height, width, channels_in = data_shape
    data = te.placeholder(data_shape, "int8", name="data")
    packed = packed_shape(channels_out, (TAPS * TAPS, 1), channels_in, pairs)
    weight = te.placeholder(packed, pairs.weight_dtype, name="weight")
    _, _, _, groups, lanes, group = packed
    operands = epilogue.operands(channels_out, "int32")
    finish = epilogue.apply(operands)
    operand = window.pad(
        data, padding_value("int8", operands), groups * group, pairs.widened, name="operand"
    )
    height, width = window.output_size(height, width)
    step, inputs = window.dilation[0], groups * group
    down, across = (extent // (RESULTS * step) for extent in (height, width))

    def across_rows(
        p: tirx.Expr, t: tirx.Expr, i: tirx.Expr, x: tirx.Expr, k: tirx.Expr
    ) -> tirx.Expr:
        first = t * RESULTS
        taps = [operand[0, (first + r) * step + p, x, k] for r in range(TAPS)]
        return _one_of(i, transform_data(taps))

    rows = te.compute((step, down, TAPS, int(operand.shape[2]), inputs), across_rows, name="rows")

    def across_columns(
        p: tirx.Expr,
        q: tirx.Expr,
        t: tirx.Expr,
        i: tirx.Expr,
        j: tirx.Expr,
        u: tirx.Expr,
        k: tirx.Expr,
    ) -> tirx.Expr:
        first = u * RESULTS
        taps = [rows[p, t, i, (first + c) * step + q, k] for c in range(TAPS)]
        return _one_of(j, transform_data(taps))

    numbers = step, step, down, TAPS, TAPS, across
    columns = te.compute((*numbers, inputs), across_columns, name="columns")
    k = te.reduce_axis((0, inputs), name="k")

    def multiply(*index: tirx.Expr) -> tirx.Expr:
        *_, i, j, _, n = index
        by = weight[n // lanes, i * TAPS + j, 0, k // group, n % lanes, k % group]
        return te.sum(pairs.product(columns[(*index[:-1], k)], by, pairs.data_dtype), axis=[k])

    attrs = {DOT_PRODUCT_ATTR: pairs.name, STRIDE_ATTR: 1}
    conv = te.compute((*numbers, channels_out), multiply, name="conv", attrs=attrs)
    sums = te.compute(
        (step, step, down, RESULTS, TAPS, across, channels_out),
        lambda p, q, t, i, j, u, n: _one_of(
            i, transform_sums([_value(conv, p, q, t, r, j, u, n) for r in range(TAPS)])
        ),
        name="sums",
    )

    def result(
        t: tirx.Expr,
        i: tirx.Expr,
        p: tirx.Expr,
        u: tirx.Expr,
        j: tirx.Expr,
        q: tirx.Expr,
        n: tirx.Expr,
    ) -> tirx.Expr:
        totals = transform_sums([_value(sums, p, q, t, i, c, u, n) for c in range(TAPS)])
        return finish(accumulator(_one_of(j, totals)), n)

    out = te.compute(
        (down, RESULTS, step, across, RESULTS, step, channels_out), result, name="epilogue"
    )
    macs = height * width * channels_out * prod(window.kernel) * channels_in
    kernel = create_kernel(FAMILY.name, [data, weight, *operands], out, macs)
    # The same bytes, in the shape of a feature map: its axes stay apart for the schedule.
    sch = s_tir.Schedule(kernel)
    sch.transform_layout(
        "epilogue",
        ("write", 0),
        lambda t, i, p, u, j, q, n: (
            tirx.const(0, "int32"),
            (t * RESULTS + i) * step + p,
            (u * RESULTS + j) * step + q,
            n,
        ),
    )
    return sch.mod["main"].without_attr("global_symbol")


def _value(tensor: te.Tensor, *index: tirx.Expr | int) -> tirx.Expr:
    """An element as an expression, which indexing alone is not."""
    return tirx.Cast("int32", tensor[index].asobject())


def _one_of(index: tirx.Expr, values: Sequence[tirx.Expr]) -> tirx.Expr:
    """The value at ``index``; where loops over it are unrolled, no choice is left."""
    *others, result = values
    for n in reversed(range(len(others))):
        result = tirx.Select(index == n, others[n], result)
    return result


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        pixels, vectors: tiles and vectors of channels whose accumulators stay in registers.
        rows, columns: tiles that one task takes of each of a dilated convolution's parts.
    """

    pixels: int
    vectors: int
    rows: int
    columns: int


@dataclass(frozen=True)
class _Extents:
    """Attributes:
    rows, columns: tiles of each of a dilated convolution's parts.
    vectors: of output channels.
    pairs: the instruction.
    lanes: of its vectors.
    """

    rows: int
    columns: int
    vectors: int
    pairs: DotProduct
    lanes: int


def _extents(sch: s_tir.Schedule, core: CpuCore) -> _Extents:
    conv = sch.get(sch.get_sblock("conv"))
    extents = (int(axis.dom.extent) for axis in conv.iter_vars)
    _, _, rows, _, _, columns, channels, _ = extents
    pairs = annotated_dot_product(conv.annotations[DOT_PRODUCT_ATTR], core.bits)
    lanes = pairs.lanes_for(channels)
    return _Extents(rows, columns, channels // lanes, pairs, lanes)


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    extents = _extents(sch, core)
    most_rows = max(1, extents.rows // core.threads)
    return [
        Configuration(pixels, vectors, rows, columns)
        for columns in divisors(extents.columns, 4 * _TILES)
        for rows in divisors(extents.rows, min(most_rows, max(1, 4 * _TILES // columns)))
        for pixels in divisors(columns, _MOST_PIXELS)
        for vectors in divisors(extents.vectors, _MOST_VECTORS)
        if pixels * vectors + vectors < core.registers
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """Blocks of some sixteen tiles, so that what is made of them stays in the caches, by the
    smallest tile of registers that hides the instruction's latency; larger ones of both where the
    weights come from memory, so that they come less often."""
    extents = _extents(sch, core)
    channels_in = int(sch.get(sch.get_sblock("conv")).iter_vars[-1].dom.extent)
    weight_bytes = TAPS * TAPS * channels_in * extents.vectors * extents.lanes * 2
    tiles, channels = _TILES, _CHANNELS
    if weight_bytes > _CACHES * core.l2_bytes:
        tiles, channels = 4 * tiles, 4 * channels
    columns = largest_divisor(extents.columns, tiles)
    rows = min(max(1, extents.rows // core.threads), max(1, tiles // columns))
    rows = largest_divisor(extents.rows, rows)
    pixels = max(divisors(columns, _MOST_PIXELS), key=lambda n: (min(n, _PIXELS), -n))
    most = min(channels // extents.lanes, core.registers // 2 // pixels)
    return Configuration(pixels, largest_divisor(extents.vectors, most), rows, columns)


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Blocks of tiles to threads; in a block, channels outside; cut by the default configuration
    unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    extents = _extents(sch, core)
    lanes = extents.lanes
    names = "epilogue", "sums", "conv", "columns", "rows", "operand"
    epilogue, sums, conv, columns, rows, operand = (sch.get_sblock(name) for name in names)
    take_annotations(sch, conv)

    row, i, row_phase, column, j, column_phase, channel = sch.get_loops(epilogue)
    task_row, row = sch.split(row, [None, configuration.rows])
    task_column, column = sch.split(column, [None, configuration.columns])
    outer, vector, lane = sch.split(channel, [None, configuration.vectors, lanes])
    phases = [row_phase, column_phase]
    sch.reorder(task_row, task_column, *phases, outer, row, column, vector, i, j, lane)
    task = sch.fuse(task_row, task_column)
    sch.parallel(task)
    sch.unroll(i)
    sch.unroll(j)
    sch.vectorize(lane)

    sch.compute_at(sums, vector, preserve_unit_loops=True)
    *_, i, j, _, lane = sch.get_loops(sums)
    sch.reorder(j, i)
    sch.unroll(i)
    sch.unroll(j)
    sch.vectorize(lane)

    sch.compute_at(conv, outer, preserve_unit_loops=True)
    for block, loop in ((columns, column_phase), (rows, row_phase), (operand, task)):
        sch.compute_at(block, loop, preserve_unit_loops=True)
    vectorize_operand(sch, operand, core)
    _vectorize_transform(sch, rows, core)
    _vectorize_transform(sch, columns, core)

    for block, line in ((conv, 16), (columns, 32)):
        _spread(sch, block, line)
    *_, t, i, j, pixel, channel, _ = sch.get_loops(conv)
    outer, pixel = sch.split(pixel, [None, configuration.pixels])
    # Of one number of all tiles the weights are the same.
    sch.reorder(i, j, t, outer, pixel, channel)
    register_tile = DotTile(configuration.pixels, configuration.vectors, lanes, 1, 1, "int16")
    accumulate_dot_products(sch, conv, extents.pairs, register_tile, pixel, channel)


def _vectorize_transform(sch: s_tir.Schedule, block: SBlockRV, core: CpuCore) -> None:
    """The six numbers of one transform of "rows" or "columns" together, by vectors of channels."""
    *others, number, column, channel = sch.get_loops(block)
    length = even_lanes(int(sch.get(channel).extent), core.bits // 16)
    channel, lane = sch.split(channel, [None, length])
    sch.reorder(*others[-1:], column, channel, number, lane)
    sch.unroll(number)
    sch.vectorize(lane)


def _spread(sch: s_tir.Schedule, block: SBlockRV, line: int) -> None:
    """Put a cache ``line``, in numbers, behind all tiles of each of the 36 numbers, as those of one
    tile would else be in the same few sets of the cache."""
    sch.storage_align(block, 0, 4, 16 * line, line)


FAMILY = KernelFamily(
    "winograd_conv",
    "3x3 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
)
