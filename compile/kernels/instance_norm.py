"""InstanceNorm, NHWC float: statistics over the picture, then one multiply-add per element.

The variance is not E[x^2] - E[x]^2, which cancels, but is put together from the rows by the formula
of Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances" (1979): M2 = sum(M2_row) + W * sum((mean_row - mean)^2). One pass over memory, and rows
go to threads without changing the result.
"""

from __future__ import annotations

from tvm import s_tir, te, tirx

from compile.kernels.elementwise import FAMILY as ELEMENTWISE
from compile.kernels.kernel_function import create_kernel
from compile.kernels.register_loops import accumulate_in_registers
from compile.kernels.tiling import VectorUnit, vector_lanes

FAMILY = "instance_norm_statistics"


def create_statistics(
    data_shape: tuple[int, int, int, int], epsilon: float, dtype: str
) -> tirx.PrimFunc:
    """The kernel (data ``dtype`` [1,H,W,C], gamma float32 [C], beta float32 [C]) -> float32 [2,C]:
    scale and shift.

    scale = gamma / sqrt(var + epsilon), shift = beta - mean * scale, with the biased variance of
    ``torch.nn.InstanceNorm2d``.
    """
    _, height, width, channels = data_shape
    data = te.placeholder(data_shape, dtype, name="data")
    gamma = te.placeholder((channels,), "float32", name="gamma")
    beta = te.placeholder((channels,), "float32", name="beta")
    rows = (height, channels)

    def reduce_axis(extent: int) -> tirx.IterVar:
        return te.reduce_axis((0, extent), name="r")

    def value(y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        return data[0, y, x, c].astype("float32")

    x = reduce_axis(width)
    row_sum = te.compute(rows, lambda y, c: te.sum(value(y, x, c), axis=x), name="row_sum")
    x2 = reduce_axis(width)

    def square(y: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        deviation = value(y, x2, c) - row_sum[y, c] * (1.0 / width)
        return te.sum(deviation * deviation, axis=x2)

    row_square = te.compute(rows, square, name="row_square")
    y1 = reduce_axis(height)
    mean_sum = te.compute((channels,), lambda c: te.sum(row_sum[y1, c], axis=y1), name="mean_sum")
    y2 = reduce_axis(height)

    def mean(c: tirx.Expr) -> tirx.Expr:
        return mean_sum[c] * (1.0 / (height * width))

    def merge(c: tirx.Expr) -> tirx.Expr:
        offset = row_sum[y2, c] * (1.0 / width) - mean(c)
        return te.sum(row_square[y2, c] + offset * offset * float(width), axis=y2)

    square_sum = te.compute((channels,), merge, name="square_sum")

    def finish(i: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        variance = square_sum[c] * (1.0 / (height * width))
        scale = gamma[c] / tirx.sqrt(variance + tirx.const(epsilon, "float32"))
        return tirx.Select(i == 0, scale, beta[c] - mean(c) * scale)

    out = te.compute((2, channels), finish, name="scale_shift")
    return create_kernel(FAMILY, [data, gamma, beta], out)


def create_normalize(
    data_shape: tuple[int, int, int, int], low: float | None, dtype: str
) -> tirx.PrimFunc:
    """The kernel (data ``dtype`` [1,H,W,C], scale_shift float32 [2,C]) ->
    max(data * scale + shift, low), ``dtype``."""
    data = te.placeholder(data_shape, dtype, name="data")
    scale_shift = te.placeholder((2, data_shape[3]), "float32", name="scale_shift")

    def normalize(b: tirx.Expr, y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        value = data[b, y, x, c].astype("float32") * scale_shift[0, c] + scale_shift[1, c]
        if low is not None:
            value = tirx.max(value, tirx.const(low, "float32"))
        return value.astype(dtype)

    out = te.compute(data_shape, normalize, name="normalize")
    return create_kernel(ELEMENTWISE, [data, scale_shift], out)


def schedule(sch: s_tir.Schedule, unit: VectorUnit) -> None:
    """The statistics of a row in one task, while the row is in the cache; channels to vectors."""
    row_sum, row_square, *totals = (
        sch.get_sblock(name) for name in ("row_sum", "row_square", "mean_sum", "square_sum")
    )
    row, channel, _ = sch.get_loops(row_sum)
    lanes = vector_lanes(int(sch.get(channel).extent), unit)
    sch.reverse_compute_at(row_square, row, preserve_unit_loops=True)
    sch.parallel(row)
    for block in (row_sum, row_square, *totals):
        *_, channel, reduction = sch.get_loops(block)
        channel_outer, channel = sch.split(channel, [None, lanes])
        accumulate_in_registers(sch, block, [], channel, [reduction], lanes)
    sch.vectorize(sch.get_loops(sch.get_sblock("scale_shift"))[-1])
