"""The largest number of each window: one compute, which each device schedules in its own way."""

from __future__ import annotations

from functools import reduce

from tvm import te, tirx

from compile.kernels.common.window import Window


def max_pool(data: te.Tensor, window: Window) -> te.Tensor:
    """Compute data [1,H,W,C] -> [1,OH,OW,C].

    Where a window goes beyond the picture the nearest row and column of the picture are read. They
    are in the window as well, so the maximum is the same as with minus infinity around the picture.
    """
    _, height, width, channels = (int(extent) for extent in data.shape)
    (rows, columns), (top, left, _, _) = window.stride, window.padding

    def largest(b: tirx.Var, y: tirx.Var, x: tirx.Var, c: tirx.Var) -> tirx.Expr:
        taps = [
            data[b, _inside(y * rows + i - top, height), _inside(x * columns + j - left, width), c]
            for i in range(window.kernel[0])
            for j in range(window.kernel[1])
        ]
        return reduce(tirx.max, taps)

    shape = (1, *window.output_size(height, width), channels)
    return te.compute(shape, largest, name="max_pool")


def _inside(index: tirx.Expr, extent: int) -> tirx.Expr:
    return tirx.max(tirx.min(index, extent - 1), 0)
