"""Bilinear and nearest resizing, one compute each, which each device schedules as it does
elementwise ones.

The centres of n input pixels lie under those of m outputs at ``((2 i + 1) n - m) / (2 m)``, or with
aligned corners at ``i (n - 1) / (m - 1)``: whole numbers over one denominator. So the four weights
of an output are whole numbers, and bytes, whose scale and zero point stay, are weighted and summed
exactly, in int32.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from tvm import te, tirx

from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.requantize import requantize

#: More than this, and four bytes times their weights leave int32.
MOST_SHARES = 1 << 23

_NAME = "resize_bilinear"


@dataclass(frozen=True)
class _Axis:
    """The positions of outputs among inputs: ``(step * i + start) / shares`` for output i."""

    extent: int
    step: int
    start: int
    shares: int

    @classmethod
    def between(cls, extent: int, outputs: int, aligned: bool) -> _Axis:
        """Of ``outputs`` among ``extent``, in lowest terms, with corners ``aligned`` or not."""
        if aligned:
            common = gcd(extent - 1, outputs - 1) or 1
            return cls(extent, (extent - 1) // common, 0, max(1, (outputs - 1) // common))
        common = gcd(extent - outputs, 2 * extent, 2 * outputs)
        start = (extent - outputs) // common
        return cls(extent, 2 * extent // common, start, 2 * outputs // common)

    def neighbours(self, index: tirx.Expr) -> tuple[tirx.Expr, tirx.Expr, tirx.Expr]:
        """The input before output ``index``, the one behind, and how many shares are that one's."""
        position = tirx.max(index * self.step + self.start, 0)
        before = position // self.shares
        return before, tirx.min(before + 1, self.extent - 1), position % self.shares


def count_shares(
    data_shape: tuple[int, int, int, int], size: tuple[int, int], aligned: bool = False
) -> int:
    """What the weights of an output sum up to."""
    (_, height, width, _), (rows, columns) = data_shape, size
    vertical = _Axis.between(height, rows, aligned)
    return vertical.shares * _Axis.between(width, columns, aligned).shares


def create_nearest(
    family: str, data_shape: tuple[int, int, int, int], size: tuple[int, int], dtype: str
) -> tirx.PrimFunc:
    """The kernel data [1,H,W,C] -> [1,*size,C] of pixels ``(y * H // rows, x * W // columns)``."""
    (_, height, width, channels), (rows, columns) = data_shape, size
    data = te.placeholder(data_shape, dtype, name="data")
    out = te.compute(
        (1, rows, columns, channels),
        lambda b, y, x, c: data[b, y * height // rows, x * width // columns, c],
        name="resize_nearest",
    )
    return create_kernel(family, [data], out)


def create_bilinear(
    family: str,
    data_shape: tuple[int, int, int, int],
    size: tuple[int, int],
    dtype: str,
    aligned: bool = False,
) -> tirx.PrimFunc:
    """The kernel data [1,H,W,C] -> [1,*size,C] of PyTorch's half-pixel rule, or of ``aligned``
    corners.

    Of int8 it takes more operands, multiplier float32[1] and quant int32[4], and gives
    ``rne(f32(sum of weight * x) * multiplier)``, where the multiplier is ``1 / shares``.
    """
    _, height, width, channels = data_shape
    vertical = _Axis.between(height, size[0], aligned)
    horizontal = _Axis.between(width, size[1], aligned)
    data = te.placeholder(data_shape, dtype, name="data")
    multiplier = te.placeholder((1,), "float32", name="multiplier")
    quant = te.placeholder((4,), "int32", name="quant")
    work = "int32" if dtype == "int8" else "float32"

    def weights(share: tirx.Expr, axis: _Axis) -> tuple[tirx.Expr, tirx.Expr]:
        if dtype == "int8":
            return axis.shares - share, share
        after = share.astype("float32") * tirx.const(1 / axis.shares, "float32")
        return tirx.const(1.0, "float32") - after, after

    def element(b: tirx.Var, y: tirx.Var, x: tirx.Var, c: tirx.Var) -> tirx.Expr:
        top, bottom, row_share = vertical.neighbours(y)
        left, right, column_share = horizontal.neighbours(x)
        above, below = weights(row_share, vertical)
        before, after = weights(column_share, horizontal)

        def row(at: tirx.Expr) -> tirx.Expr:
            first, second = (data[b, at, column, c].astype(work) for column in (left, right))
            return before * first + after * second

        total = above * row(top) + below * row(bottom)
        return requantize(total, multiplier[0], quant) if dtype == "int8" else total.astype(dtype)

    out = te.compute((1, *size, channels), element, name=_NAME)
    return create_kernel(family, [data, *([multiplier, quant] if dtype == "int8" else [])], out)
