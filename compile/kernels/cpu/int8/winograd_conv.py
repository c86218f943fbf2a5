"""Dense 3x3 convolution of int8 by the Winograd transform, NHWC: see
:mod:`compile.kernels.cpu.int8.winograd`.

The data of a block of tiles is transformed, rows first, then columns. For a few vectors of output
channels each of the 36 numbers of a tile is then a 1x1 convolution of its own, by an instruction on
pairs of int16; their sums are transformed back and requantized.

A dilated convolution is several of every n-th row and column: the tiles of one of them stand
together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from tvm import s_tir, te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, padding_value
from compile.kernels.common.joined_parts import JoinedPart, joined_element
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.int8_loops import (
    DOT_PRODUCT_ATTR,
    STRIDE_ATTR,
)
from compile.kernels.cpu.int8.packed_weight import packed_shape
from compile.kernels.cpu.int8.winograd import (
    RESULTS,
    TAPS,
    accumulator,
    transform_data,
    transform_sums,
)
from compile.kernels.cpu.int8.winograd_schedule import FAMILY, HALF, PARTS_ATTR, PRODUCTS

#: With fewer channels, the transforms take as long as the multiplications that they save.
_FEWEST_CHANNELS = 32

#: With fewer tiles, the weights, which are eight times as large, are read too often.
_FEWEST_TILES = 16


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


def serves_parts(parts: Sequence[JoinedPart], pairs: DotProduct) -> bool:
    """Whether data of ``parts`` can be read where it is: whole vectors of each."""
    return all(part.channels % (pairs.lanes[0] * pairs.group) == 0 for part in parts)


def create_winograd_conv(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    window: Window,
    pairs: DotProduct,
    epilogue: ConvEpilogue,
    parts: tuple[JoinedPart, ...] = (),
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight as :mod:`compile.kernels.cpu.int8.packed_weight` has
    it of what :func:`compile.kernels.cpu.int8.winograd.transform_weight` returns, epilogue
    operands) -> [1,OH,OW,O], where :func:`serves_winograd` says that there is one.

    Beyond the edge stands the data's zero point, as for :mod:`compile.kernels.cpu.int8.int8_conv`.

    In the place of the data stand the tensors of its ``parts``, if it has any, of which
    :func:`serves_parts` says that they can.
    """
    _, height, width, channels_in = data_shape
    read = parts or (JoinedPart(channels_in),)
    assert sum(part.channels for part in read) == channels_in
    tensors = [
        te.placeholder(part.shape(height, width), "int8", name=f"data{n}")
        for n, part in enumerate(read)
    ]
    packed = packed_shape(channels_out, (TAPS * TAPS, 1), channels_in, pairs)
    weight = te.placeholder(packed, pairs.weight_dtype, name="weight")
    _, _, _, groups, lanes, group = packed
    operands = epilogue.operands(channels_out, "int32")
    finish = epilogue.apply(operands)
    inputs, border = groups * group, padding_value("int8", operands)
    if inputs == channels_in:
        padded = _padded(tensors, read, data_shape, window, border, pairs)
    else:
        operand = window.pad(tensors[0], border, inputs, pairs.widened, name="operand")

        def padded(y: tirx.Expr, x: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
            return operand[0, y, x, k]

    cuts = {PARTS_ATTR: [part.channels for part in parts]} if parts else {}
    down, across = tiles_of(window, data_shape)
    sums = winograd_sums(padded, inputs, data_shape, window, weight, pairs, channels_out, cuts)
    step = window.dilation[0]

    def result(
        t: tirx.Expr,
        i: tirx.Expr,
        p: tirx.Expr,
        u: tirx.Expr,
        j: tirx.Expr,
        q: tirx.Expr,
        n: tirx.Expr,
    ) -> tirx.Expr:
        totals = transform_sums([value_of(sums, p, q, t, i, c, u, n) for c in range(TAPS)])
        return finish(accumulator(one_of(j, totals)), n)

    height, width = window.output_size(*data_shape[1:3])
    out = te.compute(
        (down, RESULTS, step, across, RESULTS, step, channels_out), result, name="epilogue"
    )
    macs = height * width * channels_out * prod(window.kernel) * channels_in
    kernel = create_kernel(FAMILY.name, [*tensors, weight, *operands], out, macs)
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


def tiles_of(window: Window, data_shape: tuple[int, int, int, int]) -> tuple[int, int]:
    """(rows, columns) of tiles in each part of the result of a dilated convolution, or in all."""
    rows, columns = window.output_size(*data_shape[1:3])
    step = RESULTS * window.dilation[0]
    return rows // step, columns // step


def winograd_sums(
    padded: Callable[[tirx.Expr, tirx.Expr, tirx.Expr], tirx.Expr],
    inputs: int,
    data_shape: tuple[int, int, int, int],
    window: Window,
    weight: te.Tensor,
    pairs: DotProduct,
    channels_out: int,
    attributes: Mapping[str, object],
) -> te.Tensor:
    """The sums int32 [D,D,rows,4,6,columns,O], modulo 2^32, of all tiles of a convolution of
    dilation D, transformed back down the columns and not yet along the rows.

    Args:
        padded: (row, column, channel) -> int16 value of the padded data, of ``inputs`` channels.
        data_shape: of the data without padding, [1,H,W,I].
        weight: as :func:`create_winograd_conv` takes it.
        attributes: of the block that reads the data.
    """
    _, left, _, right = window.padding
    columns_in = data_shape[2] + left + right
    down, across = tiles_of(window, data_shape)
    step = window.dilation[0]
    lanes, group = int(weight.shape[4]), int(weight.shape[5])

    def across_rows(
        p: tirx.Expr, t: tirx.Expr, i: tirx.Expr, x: tirx.Expr, k: tirx.Expr
    ) -> tirx.Expr:
        first = t * RESULTS
        taps = [padded((first + r) * step + p, x, k) for r in range(TAPS)]
        return one_of(i, transform_data(taps))

    rows = te.compute(
        (step, down, TAPS, columns_in, inputs), across_rows, name="rows", attrs=attributes
    )

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
        return one_of(j, transform_data(taps))

    numbers = step, step, down, TAPS, TAPS, across
    columns = te.compute((*numbers, inputs), across_columns, name="columns")
    k = te.reduce_axis((0, inputs), name="k")
    attrs = {DOT_PRODUCT_ATTR: pairs.name, STRIDE_ATTR: 1}

    def products(name: str, first: int) -> te.Tensor:
        """Of half of the rows of a tile's numbers, from the ``first``."""

        def multiply(*index: tirx.Expr) -> tirx.Expr:
            p, q, t, i, j, u, n = index
            i = i + first
            by = weight[n // lanes, i * TAPS + j, 0, k // group, n % lanes, k % group]
            value = columns[p, q, t, i, j, u, k]
            return te.sum(pairs.product(value, by, pairs.data_dtype), axis=[k])

        shape = step, step, down, HALF, TAPS, across, channels_out
        return te.compute(shape, multiply, name=name, attrs=attrs)

    halves = [products(name, n * HALF) for n, name in enumerate(PRODUCTS)]

    def across_sums(*index: tirx.Expr) -> tirx.Expr:
        p, q, t, i, j, u, n = index
        products = [value_of(half, p, q, t, r, j, u, n) for half in halves for r in range(HALF)]
        return one_of(i, transform_sums(products))

    shape = step, step, down, RESULTS, TAPS, across, channels_out
    return te.compute(shape, across_sums, name="sums")


def _padded(
    tensors: Sequence[te.Tensor],
    parts: Sequence[JoinedPart],
    data_shape: tuple[int, int, int, int],
    window: Window,
    border: tirx.Expr,
    pairs: DotProduct,
) -> Callable[[tirx.Expr, tirx.Expr, tirx.Expr], tirx.Expr]:
    """A function (row, column, channel) -> value of the padded data [1,H,W,I] of ``parts``, which
    is read where it lies: another place and the ``border`` are chosen from without a branch."""
    _, height, width, _ = data_shape
    top, left, _, _ = window.padding

    def value(y: tirx.Expr, x: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
        inside = tirx.all(y >= top, y < height + top, x >= left, x < width + left)
        row, column = (
            tirx.max(tirx.min(position, extent - 1), 0)
            for position, extent in ((y - top, height), (x - left, width))
        )
        found = joined_element(tensors, parts, row, column, k)
        return pairs.widened(tirx.Select(inside, found, border))

    return value


def value_of(tensor: te.Tensor, *index: tirx.Expr | int) -> tirx.Expr:
    """An element as an expression, which indexing alone is not."""
    return tirx.Cast("int32", tensor[index].asobject())


def one_of(index: tirx.Expr, values: Sequence[tirx.Expr]) -> tirx.Expr:
    """The value at ``index``; where loops over it are unrolled, no choice is left."""
    *others, result = values
    for n in reversed(range(len(others))):
        result = tirx.Select(index == n, others[n], result)
    return result
