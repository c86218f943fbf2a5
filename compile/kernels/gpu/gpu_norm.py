"""InstanceNorm for a GPU, NHWC: statistics in three steps of many work items, one multiply-add.

As :mod:`compile.kernels.cpu.norm.row_statistics` and :mod:`compile.kernels.cpu.norm.instance_norm`
do it, with the formula of Chan, Golub and LeVeque (1979), M2 = sum(M2_part) + n * sum((mean_part -
mean)^2), but nowhere does one work item sum up more than a row or as many parts as there are rows:
a GPU is slow where it waits for one sum.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import s_tir, te, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import accumulate_in_registers
from compile.kernels.common.tiling import largest_divisor
from compile.kernels.family import KernelFamily
from compile.kernels.gpu import gpu_elementwise
from compile.kernels.gpu.gpu_core import GpuCore, bind_flat, vector_length

#: Parts of a row, and parts that the rows are put together in, at the most.
_SEGMENTS, _BANDS = 8, 32


def segments(width: int) -> int:
    """Parts of a row of ``width`` columns."""
    return largest_divisor(width, _SEGMENTS)


def create_row_statistics(data_shape: tuple[int, int, int, int], dtype: str) -> tirx.PrimFunc:
    """The kernel data ``dtype`` [1,H,W,C] -> float32 [2,H*S,C]: of each of a row's S segments the
    sum and the sum of squared deviations from its mean.

    Each element is read once, as its difference d from the segment's first: of n, the sum is
    n * first + sum(d), and the other sum(d^2) - sum(d)^2 / n (shifted data: Chan, Golub and
    LeVeque, The American Statistician 37, 1983). What cancels is bounded: the first is one of the
    n, so that sum(d^2) is at most n times the result.
    """
    _, height, width, channels = data_shape
    count = segments(width)
    columns = width // count
    data = te.placeholder(data_shape, dtype, name="data")
    x = te.reduce_axis((0, columns), name="x")

    def element(p: tirx.Expr, c: tirx.Expr, column: tirx.Expr | int) -> tirx.Expr:
        return data(0, p // count, p % count * columns + column, c).astype("float32")

    def differences(p: tirx.Expr, c: tirx.Expr) -> tuple[tirx.Expr, tirx.Expr]:
        difference = element(p, c, x) - element(p, c, 0)
        return _both_sums((difference, difference * difference), axis=x)

    sums, squares = te.compute((height * count, channels), differences, name="segment_sums")

    def finish(i: tirx.Expr, p: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        total = element(p, c, 0) * float(columns) + sums[p, c]
        deviation = squares[p, c] - sums[p, c] * sums[p, c] * (1.0 / columns)
        return tirx.if_then_else(i == 0, total, deviation)

    rows = te.compute((2, height * count, channels), finish, name="segments")
    return create_kernel(ROWS.name, [data], rows)


_both_sums = te.comm_reducer(
    lambda a, b: (a[0] + b[0], a[1] + b[1]),
    lambda *dtypes: tuple(tirx.const(0, dtype) for dtype in dtypes),
)


def schedule_rows(sch: s_tir.Schedule, core: GpuCore) -> None:
    """A segment and a vector of its channels to a work item."""
    sums, rows = (sch.get_sblock(name) for name in ("segment_sums", "segments"))
    which, part, channel = sch.get_loops(rows)
    lanes = vector_length(int(sch.get(channel).extent), core.lanes)
    outer, lane = sch.split(channel, [None, lanes])
    sch.reorder(part, outer, which, lane)
    item = bind_flat(sch, [part, outer], core)
    sch.unroll(which)
    sch.vectorize(lane)
    _accumulate_at(sch, sums, item, lanes)


def create_statistics(height: int, width: int, channels: int, epsilon: float) -> tirx.PrimFunc:
    """The kernel (rows float32 [2,H*S,C], gamma float32 [C], beta float32 [C]) -> float32 [2,C]:
    scale and shift, with rows as :func:`create_row_statistics` makes them of rows of ``width``.

    scale = gamma / sqrt(var + epsilon), shift = beta - mean * scale, with the biased variance of
    ``torch.nn.InstanceNorm2d``.
    """
    count, parts = segments(width), height * segments(width)
    bands = largest_divisor(parts, _BANDS)
    rows = te.placeholder((2, parts, channels), "float32", name="rows")
    gamma = te.placeholder((channels,), "float32", name="gamma")
    beta = te.placeholder((channels,), "float32", name="beta")
    pixels, columns = height * width, width // count

    def over_parts(name: str, summand: Callable[..., tirx.Expr]) -> te.Tensor:
        p = te.reduce_axis((0, parts // bands), name="p")
        return te.compute(
            (bands, channels),
            lambda b, c: te.sum(summand(b * (parts // bands) + p, c), axis=p),
            name=name,
        )

    def over_bands(name: str, values: te.Tensor) -> te.Tensor:
        b = te.reduce_axis((0, bands), name="b")
        return te.compute((channels,), lambda c: te.sum(values[b, c], axis=b), name=name)

    band_sum = over_parts("band_sum", lambda p, c: rows[0, p, c])
    # Twice, since each launch makes it for itself.
    first_sum, last_sum = (over_bands(name, band_sum) for name in ("first_sum", "last_sum"))

    def merge(p: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        offset = rows[0, p, c] * (1.0 / columns) - first_sum[c] * (1.0 / pixels)
        return rows[1, p, c] + offset * offset * float(columns)

    square_sum = over_bands("square_sum", over_parts("band_square", merge))

    def finish(i: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        variance = square_sum[c] * (1.0 / pixels)
        scale = gamma[c] / tirx.sqrt(variance + tirx.const(epsilon, "float32"))
        shift = beta[c] - last_sum[c] * (1.0 / pixels) * scale
        return tirx.if_then_else(i == 0, scale, shift)

    out = te.compute((2, channels), finish, name="scale_shift")
    return create_kernel(STATISTICS.name, [rows, gamma, beta], out)


def schedule_statistics(sch: s_tir.Schedule, core: GpuCore) -> None:
    """Three launches: the sums of bands, their squares, and what is made of both."""
    names = ("band_sum", "first_sum", "band_square", "square_sum", "last_sum", "scale_shift")
    band_sum, first_sum, band_square, square_sum, last_sum, out = map(sch.get_sblock, names)
    which, channel = sch.get_loops(out)
    lanes = vector_length(int(sch.get(channel).extent), core.lanes)
    outer, lane = sch.split(channel, [None, lanes])
    sch.reorder(outer, which, lane)
    item = bind_flat(sch, [outer], core)
    sch.unroll(which)
    sch.vectorize(lane)
    for block in (square_sum, last_sum):
        _accumulate_at(sch, block, item, lanes)
    for block, inner in ((band_square, first_sum), (band_sum, None)):
        band, channel, part = sch.get_loops(block)
        outer, channel = sch.split(channel, [None, lanes])
        sch.reorder(band, outer, channel, part)
        item = bind_flat(sch, [band, outer], core)
        if inner is not None:
            _accumulate_at(sch, inner, item, lanes)
        accumulate_in_registers(sch, block, [], channel, [part], lanes)


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
    return create_kernel(NORMALIZE.name, [data, scale_shift], out)


def _accumulate_at(sch: s_tir.Schedule, block: SBlockRV, item: LoopRV, lanes: int) -> None:
    """The sums of ``block`` in registers, for each iteration of the loop ``item``."""
    sch.compute_at(block, item, preserve_unit_loops=True)
    for place in range(len(sch.get(block).writes)):
        sch.set_scope(block, place, "local")
    *_, channel, reduction = sch.get_loops(block)
    accumulate_in_registers(sch, block, [], channel, [reduction], lanes)


ROWS = KernelFamily("gpu_row_statistics", "means", schedule_rows)
STATISTICS = KernelFamily("gpu_statistics", "means", schedule_statistics)
NORMALIZE = KernelFamily("gpu_normalize", "elementwise", gpu_elementwise.schedule)
