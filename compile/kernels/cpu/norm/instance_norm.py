"""InstanceNorm, NHWC float: statistics over the feature map, then one multiply-add per element.

The variance is not E[x^2] - E[x]^2, which cancels, but is put together from the rows
(:mod:`compile.kernels.cpu.norm.row_statistics`) by the formula of Chan, Golub and LeVeque,
"Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979): M2 = sum(M2_row)
+ W * sum((mean_row - mean)^2). One pass over memory, and rows go to threads without changing the
result.
"""

from __future__ import annotations

from tvm import s_tir, te, tirx
from tvm.s_tir.schedule import SBlockRV

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import accumulate_in_registers
from compile.kernels.common.tiling import even_lanes, largest_divisor, vector_lanes
from compile.kernels.family import KernelFamily

_COLUMNS = 16


def create_statistics(height: int, width: int, channels: int, epsilon: float) -> tirx.PrimFunc:
    """The kernel (rows float32 [H,2,C], gamma float32 [C], beta float32 [C]) -> float32 [2,G,C]:
    scale and shift, repeated for G neighbouring columns (:func:`repeated_columns`).

    ``rows`` as :mod:`compile.kernels.cpu.norm.row_statistics` makes them for rows of ``width``.
    scale = gamma / sqrt(var + epsilon), shift = beta - mean * scale, with the biased variance of
    ``torch.nn.InstanceNorm2d``.
    """
    rows = te.placeholder((height, 2, channels), "float32", name="rows")
    gamma = te.placeholder((channels,), "float32", name="gamma")
    beta = te.placeholder((channels,), "float32", name="beta")
    y1 = te.reduce_axis((0, height), name="y")
    mean_sum = te.compute((channels,), lambda c: te.sum(rows[y1, 0, c], axis=y1), name="mean_sum")
    y2 = te.reduce_axis((0, height), name="y")

    def mean(c: tirx.Expr) -> tirx.Expr:
        return mean_sum[c] * (1.0 / (height * width))

    def merge(c: tirx.Expr) -> tirx.Expr:
        offset = rows[y2, 0, c] * (1.0 / width) - mean(c)
        return te.sum(rows[y2, 1, c] + offset * offset * float(width), axis=y2)

    square_sum = te.compute((channels,), merge, name="square_sum")

    def finish(i: tirx.Expr, _x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        variance = square_sum[c] * (1.0 / (height * width))
        scale = gamma[c] / tirx.sqrt(variance + tirx.const(epsilon, "float32"))
        return tirx.Select(i == 0, scale, beta[c] - mean(c) * scale)

    out = te.compute((2, repeated_columns(width), channels), finish, name="scale_shift")
    return create_kernel(STATISTICS.name, [rows, gamma, beta], out)


def repeated_columns(width: int) -> int:
    """Columns for which scale and shift are written side by side, so that however few channels
    there are, they are loaded as full vectors."""
    return largest_divisor(width, _COLUMNS)


def create_normalize(
    data_shape: tuple[int, int, int, int], low: float | None, dtype: str
) -> tirx.PrimFunc:
    """The kernel (data ``dtype`` [1,H,W,C], scale_shift float32 [2,G,C]) ->
    max(data * scale + shift, low), ``dtype``."""
    _, _, width, channels = data_shape
    columns = repeated_columns(width)
    data = te.placeholder(data_shape, dtype, name="data")
    scale_shift = te.placeholder((2, columns, channels), "float32", name="scale_shift")

    def normalize(b: tirx.Expr, y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        scale, shift = (scale_shift[i, x % columns, c] for i in (0, 1))
        value = data[b, y, x, c].astype("float32") * scale + shift
        if low is not None:
            value = tirx.max(value, tirx.const(low, "float32"))
        return value.astype(dtype)

    out = te.compute(data_shape, normalize, name="normalize")
    return create_kernel(NORMALIZE.name, [data, scale_shift], out)


def schedule_statistics(sch: s_tir.Schedule, core: CpuCore) -> None:
    """Channels to vectors; there is little to do, and one thread does it."""
    for name in ("mean_sum", "square_sum"):
        block = sch.get_sblock(name)
        channel, reduction = sch.get_loops(block)
        lanes = vector_lanes(int(sch.get(channel).extent), core)
        channel_outer, channel = sch.split(channel, [None, lanes])
        accumulate_in_registers(sch, block, [], channel, [reduction], lanes)
    sch.vectorize(sch.get_loops(sch.get_sblock("scale_shift"))[-1])


def schedule_normalize(sch: s_tir.Schedule, core: CpuCore) -> None:
    """The multiply-add as a kernel of its own: rows to threads."""
    normalize = sch.get_sblock("normalize")
    sch.parallel(sch.get_loops(normalize)[1])
    vectorize_normalize(sch, normalize, core)


def vectorize_normalize(sch: s_tir.Schedule, normalize: SBlockRV, core: CpuCore) -> None:
    """A row in runs of as many columns as scale and shift are repeated for."""
    *_, column, channel = sch.get_loops(normalize)
    columns = repeated_columns(int(sch.get(column).extent))
    _, column = sch.split(column, [None, columns])
    run = sch.fuse(column, channel)
    _, lane = sch.split(run, [None, even_lanes(int(sch.get(run).extent), core.lanes)])
    sch.vectorize(lane)


STATISTICS = KernelFamily("instance_norm_statistics", "means", schedule_statistics)

#: Of the multiply-add.
NORMALIZE = KernelFamily("normalize", "elementwise", schedule_normalize)
