"""The sliding window of a convolution: its padded input and its output size.

The padded rows are a buffer of their own, filled once per block of output rows; the inner loops
then read without a condition.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import s_tir, te, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.tiling import VectorUnit, largest_divisor, rows_per_task


@dataclass(frozen=True)
class Window:
    """Geometry of a convolution.

    Attributes:
        kernel: (rows, columns) of the filter.
        stride: (rows, columns) between neighbouring outputs.
        padding: (top, left, bottom, right) in pixels.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of the output for an input of ``height`` x ``width``."""
        top, left, bottom, right = self.padding
        return (
            (height + top + bottom - self.kernel[0]) // self.stride[0] + 1,
            (width + left + right - self.kernel[1]) // self.stride[1] + 1,
        )

    def pad(self, data: te.Tensor, value: tirx.Expr) -> te.Tensor:
        """``data`` [1,H,W,C] with ``value`` around it, as a block named "pad"."""
        _, height, width, channels = (int(extent) for extent in data.shape)
        top, left, bottom, right = self.padding

        def padded(b: tirx.Expr, y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
            inside = tirx.all(y >= top, y < height + top, x >= left, x < width + left)
            return tirx.if_then_else(inside, data[b, y - top, x - left, c], value)

        shape = (1, height + top + bottom, width + left + right, channels)
        return te.compute(shape, padded, name="pad")


def split_rows(
    sch: s_tir.Schedule, epilogue: SBlockRV, unit: VectorUnit
) -> tuple[LoopRV, LoopRV, LoopRV, LoopRV]:
    """Cut the output rows into blocks: the loops (task, row, column, channel) of ``epilogue``."""
    batch, row, column, channel = sch.get_loops(epilogue)
    rows = rows_per_task(int(sch.get(row).extent), unit)
    task, row = sch.split(row, [None, rows])
    return sch.fuse(batch, task), row, column, channel


def pad_rows(sch: s_tir.Schedule, pad: SBlockRV, task: LoopRV, unit: VectorUnit) -> None:
    """Pad the input rows of a ``task`` inside of it and run the tasks in parallel.

    Called once the convolution, which reads the padded rows, stands inside of the task.
    """
    sch.compute_at(pad, task, preserve_unit_loops=True)
    sch.parallel(task)
    channels = sch.get_loops(pad)[-1]
    extent = int(sch.get(channels).extent)
    _, lane = sch.split(channels, [None, largest_divisor(extent, unit.bits // 8)])
    sch.vectorize(lane)
