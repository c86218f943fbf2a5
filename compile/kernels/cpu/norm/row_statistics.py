"""Sum and sum of squared deviations of each row of a feature map, NHWC float.

The first half of InstanceNorm's statistics (:mod:`compile.kernels.cpu.norm.instance_norm` merges
the rows). Deviations are from the row's own mean, so that nothing cancels; a row is read twice, the
second time from the cache.
"""

from __future__ import annotations

from tvm import s_tir, te, tirx

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import accumulate_in_registers
from compile.kernels.common.tiling import even_lanes, largest_divisor
from compile.kernels.family import KernelFamily

#: Neighbouring columns that are summed up apart: with their channels they fill vectors, however
#: few channels there are, and the sums do not wait for each other.
_COLUMNS = 16

_VECTORS = 4


def create_row_statistics(data_shape: tuple[int, int, int, int], dtype: str) -> tirx.PrimFunc:
    """The kernel data ``dtype`` [1,H,W,C] -> float32 [H,2,C]: sum, sum of squared deviations."""
    _, height, width, channels = data_shape
    columns = largest_divisor(width, _COLUMNS)
    run = columns * channels
    data = te.placeholder(data_shape, dtype, name="data")

    def value(y: tirx.Expr, step: tirx.Expr, i: tirx.Expr) -> tirx.Expr:
        position = step * run + i
        return data[0, y, position // channels, position % channels].astype("float32")

    def over_steps(name: str, summand: tirx.Expr) -> te.Tensor:
        step = te.reduce_axis((0, width // columns), name="step")
        shape = (height, run)
        return te.compute(shape, lambda y, i: te.sum(summand(y, step, i), axis=step), name=name)

    def over_columns(name: str, partial: te.Tensor) -> te.Tensor:
        column = te.reduce_axis((0, columns), name="column")
        return te.compute(
            (height, channels),
            lambda y, c: te.sum(partial[y, column * channels + c], axis=column),
            name=name,
        )

    row_sum = over_columns("row_sum", over_steps("partial_sum", value))
    row_mean = te.compute(
        (height, run), lambda y, i: row_sum[y, i % channels] * (1.0 / width), name="row_mean"
    )

    def square(y: tirx.Expr, step: tirx.Expr, i: tirx.Expr) -> tirx.Expr:
        deviation = value(y, step, i) - row_mean[y, i]
        return deviation * deviation

    row_square = over_columns("row_square", over_steps("partial_square", square))
    rows = te.compute(
        (height, 2, channels),
        lambda y, i, c: tirx.Select(i == 0, row_sum[y, c], row_square[y, c]),
        name="rows",
    )
    return create_kernel(FAMILY.name, [data], rows)


#: The kernel's blocks in order.
ROW_BLOCKS = ("partial_sum", "row_sum", "row_mean", "partial_square", "row_square", "rows")


def schedule(sch: s_tir.Schedule, core: CpuCore) -> None:
    """Rows to threads."""
    share_rows(sch, ROW_BLOCKS)
    schedule_row(sch, core)


def share_rows(sch: s_tir.Schedule, names: tuple[str, ...]) -> None:
    """Give the rows of the last of the blocks ``names`` to threads, each row with the other blocks
    in it."""
    *producers, rows = (sch.get_sblock(name) for name in names)
    row = sch.get_loops(rows)[0]
    sch.parallel(row)
    for block in reversed(producers):
        sch.compute_at(block, row, preserve_unit_loops=True)


def schedule_row(sch: s_tir.Schedule, core: CpuCore) -> None:
    """The loops inside of one row: a few vectors of sums over all columns at a time."""
    for name in ("partial_sum", "partial_square"):
        block = sch.get_sblock(name)
        *_, run, step = sch.get_loops(block)
        lanes = even_lanes(int(sch.get(run).extent), core.lanes)
        vectors = largest_divisor(int(sch.get(run).extent) // lanes, _VECTORS)
        _, run = sch.split(run, [None, vectors * lanes])
        accumulate_in_registers(sch, block, [], run, [step], lanes)


FAMILY = KernelFamily(
    "row_statistics",
    "means",
    schedule,
)
