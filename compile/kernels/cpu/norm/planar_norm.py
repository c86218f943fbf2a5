"""InstanceNorm over rows of planes, [1,H,C,W] float32: statistics, then one multiply-add.

As :mod:`compile.kernels.cpu.norm.row_statistics` and :mod:`compile.kernels.cpu.norm.instance_norm`
do it, but what is summed up apart stays apart: a row of a channel has as many segments as there are
lanes, every one of columns S apart, and only the feature map's statistics put the segments
together, by the formula of Chan, Golub and LeVeque (1979): M2 = sum(M2_segment) + n *
sum((mean_segment - mean)^2).
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import s_tir, te, tirx
from tvm.s_tir.schedule import LoopRV

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import accumulate_in_registers
from compile.kernels.common.tiling import even_lanes, largest_divisor
from compile.kernels.cpu.norm.row_statistics import share_rows
from compile.kernels.cpu.plain import elementwise
from compile.kernels.family import KernelFamily

#: The blocks of the first kernel in order.
ROW_BLOCKS = ("segment_sum", "segment_square", "segments")

_SEGMENTS = 16

#: Channels whose sums do not wait for each other.
_CHANNELS = 4


def segments(width: int) -> int:
    """Segments of a row of ``width`` columns: the lanes of the widest vector, or a divisor."""
    return largest_divisor(width, _SEGMENTS)


def create_row_statistics(data_shape: tuple[int, int, int, int]) -> tirx.PrimFunc:
    """The kernel data float32 [1,H,C,W] -> float32 [H,2,C,S]: of each segment the sum, and the sum
    of squared deviations from its mean."""
    _, height, channels, width = data_shape
    count = segments(width)
    data = te.placeholder(data_shape, "float32", name="data")

    def over_steps(name: str, summand: Callable[..., tirx.Expr]) -> te.Tensor:
        step = te.reduce_axis((0, width // count), name="step")
        return te.compute(
            (height, channels, count),
            lambda y, c, s: te.sum(summand(y, c, s, data[0, y, c, step * count + s]), axis=step),
            name=name,
        )

    sums = over_steps("segment_sum", lambda y, c, s, value: value)

    def square(y: tirx.Expr, c: tirx.Expr, s: tirx.Expr, value: tirx.Expr) -> tirx.Expr:
        deviation = value - sums[y, c, s] * (count / width)
        return deviation * deviation

    squares = over_steps("segment_square", square)
    rows = te.compute(
        (height, 2, channels, count),
        lambda y, i, c, s: tirx.Select(i == 0, sums[y, c, s], squares[y, c, s]),
        name="segments",
    )
    return create_kernel(ROWS.name, [data], rows)


def schedule_rows(sch: s_tir.Schedule, core: CpuCore) -> None:
    """Rows to threads."""
    share_rows(sch, ROW_BLOCKS)
    schedule_row(sch, core)


def schedule_row(sch: s_tir.Schedule, core: CpuCore) -> None:
    """The loops inside of one row: the sums of a few channels at a time."""
    for name in ROW_BLOCKS[:-1]:
        block = sch.get_sblock(name)
        *_, channel, segment, step = sch.get_loops(block)
        channels = largest_divisor(int(sch.get(channel).extent), _CHANNELS)
        _, channel = sch.split(channel, [None, channels])
        lanes = even_lanes(int(sch.get(segment).extent), core.lanes)
        accumulate_in_registers(sch, block, [channel], segment, [step], lanes)
    *_, segment = sch.get_loops(sch.get_sblock(ROW_BLOCKS[-1]))
    _vectorize(sch, segment, core)


def create_statistics(height: int, channels: int, width: int, epsilon: float) -> tirx.PrimFunc:
    """The kernel (segments float32 [H,2,C,S], gamma float32 [C], beta float32 [C]) -> float32
    [2,C]: scale = gamma / sqrt(var + epsilon), shift = beta - mean * scale, with the biased
    variance of ``torch.nn.InstanceNorm2d``."""
    count = segments(width)
    rows = te.placeholder((height, 2, channels, count), "float32", name="rows")
    gamma = te.placeholder((channels,), "float32", name="gamma")
    beta = te.placeholder((channels,), "float32", name="beta")

    def over_rows(name: str, summand: Callable[..., tirx.Expr]) -> te.Tensor:
        y = te.reduce_axis((0, height), name="y")
        return te.compute(
            (channels, count), lambda c, s: te.sum(summand(y, c, s), axis=y), name=name
        )

    def over_segments(name: str, values: te.Tensor) -> te.Tensor:
        s = te.reduce_axis((0, count), name="s")
        return te.compute((channels,), lambda c: te.sum(values[c, s], axis=s), name=name)

    sums = over_segments("mean_sum", over_rows("lane_sum", lambda y, c, s: rows[y, 0, c, s]))

    def mean(c: tirx.Expr) -> tirx.Expr:
        return sums[c] * (1.0 / (height * width))

    def merge(y: tirx.Expr, c: tirx.Expr, s: tirx.Expr) -> tirx.Expr:
        offset = rows[y, 0, c, s] * (count / width) - mean(c)
        return rows[y, 1, c, s] + offset * offset * (width / count)

    squares = over_segments("square_sum", over_rows("lane_square", merge))

    def finish(i: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        variance = squares[c] * (1.0 / (height * width))
        scale = gamma[c] / tirx.sqrt(variance + tirx.const(epsilon, "float32"))
        return tirx.Select(i == 0, scale, beta[c] - mean(c) * scale)

    out = te.compute((2, channels), finish, name="scale_shift")
    return create_kernel(STATISTICS.name, [rows, gamma, beta], out)


def schedule_statistics(sch: s_tir.Schedule, core: CpuCore) -> None:
    """Segments to vectors; there is little to do, and one thread does it."""
    for name in ("lane_sum", "lane_square"):
        block = sch.get_sblock(name)
        channel, segment, y = sch.get_loops(block)
        channels = largest_divisor(int(sch.get(channel).extent), _CHANNELS)
        _, channel = sch.split(channel, [None, channels])
        lanes = even_lanes(int(sch.get(segment).extent), core.lanes)
        accumulate_in_registers(sch, block, [channel], segment, [y], lanes)


def create_normalize(data_shape: tuple[int, int, int, int], low: float | None) -> tirx.PrimFunc:
    """The kernel (data float32 [1,H,C,W], scale_shift float32 [2,C]) ->
    max(data * scale + shift, low)."""
    data = te.placeholder(data_shape, "float32", name="data")
    scale_shift = te.placeholder((2, data_shape[2]), "float32", name="scale_shift")

    def normalize(b: tirx.Expr, y: tirx.Expr, c: tirx.Expr, x: tirx.Expr) -> tirx.Expr:
        value = data[b, y, c, x] * scale_shift[0, c] + scale_shift[1, c]
        return value if low is None else tirx.max(value, tirx.const(low, "float32"))

    return create_kernel(
        NORMALIZE.name, [data, scale_shift], te.compute(data_shape, normalize, name="normalize")
    )


def _vectorize(sch: s_tir.Schedule, loop: LoopRV, core: CpuCore) -> None:
    _, lane = sch.split(loop, [None, even_lanes(int(sch.get(loop).extent), core.lanes)])
    sch.vectorize(lane)


ROWS = KernelFamily("planar_row_statistics", "means", schedule_rows)
STATISTICS = KernelFamily("planar_statistics", "means", schedule_statistics)
NORMALIZE = KernelFamily("planar_normalize", "elementwise", elementwise.schedule)
