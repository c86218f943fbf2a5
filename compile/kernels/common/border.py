"""A border of a feature map, of what is inside or of one number: where its pixels come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

MODES = ("reflect", "replicate", "constant")
"""PyTorch's names: mirrored without the edge itself, the edge again and again, and one number."""


@dataclass(frozen=True)
class Border:
    """What is put around a feature map.

    Attributes:
        padding: (top, left, bottom, right) in pixels; where it is mirrored, less than the height
            and the width. Below 0 so many are cut off.
        mode: one of :data:`MODES`.
        fill: the number of a constant border; of a feature map of int8 an int8 number.
    """

    padding: tuple[int, int, int, int]
    mode: str
    fill: float = 0

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of the result for a feature map of ``height`` x ``width``."""
        top, left, bottom, right = self.padding
        return height + top + bottom, width + left + right

    def element(
        self,
        read: Callable[[tirx.Expr, tirx.Expr], tirx.Expr],
        row: tirx.Expr,
        column: tirx.Expr,
        size: tuple[int, int],
    ) -> tirx.Expr:
        """The number at (row, column) of the result for a feature map of ``size``, which ``read``
        reads at a row and a column."""
        value = read(*self._source(row, column, *size))
        if self.mode != "constant":
            return value
        (height, width), (top, left, _, _) = size, self.padding
        inside = [
            *(row >= top, row < height + top),
            *(column >= left, column < width + left),
        ]
        # OpenCL's select() takes the highest bit of each lane for its condition.
        return tirx.if_then_else(tirx.all(*inside), value, tirx.const(self.fill, value.ty.dtype))

    def _source(
        self, row: tirx.Expr, column: tirx.Expr, height: int, width: int
    ) -> tuple[tirx.Expr, tirx.Expr]:
        """The (row, column) of the feature map that a pixel of the result is."""
        find = _mirrored if self.mode == "reflect" else _nearest
        top, left, _, _ = self.padding
        return find(row - top, height - 1), find(column - left, width - 1)


def _mirrored(index: tirx.Expr, last: int) -> tirx.Expr:
    return last - _magnitude(last - _magnitude(index))


def _magnitude(value: tirx.Expr) -> tirx.Expr:
    return tirx.max(value, -value)


def _nearest(index: tirx.Expr, last: int) -> tirx.Expr:
    return tirx.max(tirx.min(index, last), 0)
