"""Recognize a table of 256 values that a requantization computes as well. Not a pass itself.

A change of scale is a unary function of a byte, and so a table; but vectors multiply and round many
bytes at once, while most look up one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: A line through fewer points says nothing.
_FEWEST = 3

#: Where a line may cross the zero point, in halves: float32 holds whole numbers up to here.
_FARTHEST = 1 << 24


@dataclass(frozen=True)
class Requantization:
    """``clamp(rne((2 * x - centre) * multiplier) + z_y, low, high)``: the centre is in halves, as
    that of a byte scaled to [-1, 1] is 127.5."""

    centre: int
    multiplier: np.float32
    low: int
    high: int


def as_requantization(
    table: NDArray[np.int8], smallest: int, zero_point: int
) -> Requantization | None:
    """The requantization to ``zero_point`` that gives ``table`` for each of the 256 bytes from
    ``smallest`` on, or None.

    The centre is near where a straight line through the table crosses the zero point. Then every
    entry bounds the multiplier, those at a limit from one side. That the middle of what all allow
    is right is not concluded, but tried with all bytes.
    """
    x = np.arange(smallest, smallest + 256)
    y = table.astype(np.int64) - zero_point
    low, high = int(table.min()), int(table.max())
    inside = (table > low) & (table < high)
    # The slope of a flat line comes out as anything around 0.
    if inside.sum() < _FEWEST or np.ptp(y[inside]) == 0:
        return None
    slope = np.polyfit(x[inside], y[inside], 1)
    if slope[0] <= 0:
        return None
    edges = np.stack(
        [np.where(table > low, y - 0.5, -np.inf), np.where(table < high, y + 0.5, np.inf)]
    )
    crossing = -2 * slope[1] / slope[0]
    if abs(crossing) > _FARTHEST:  # A slope of rounding noise.
        return None
    nearest = int(np.rint(crossing))
    for centre in sorted(range(nearest - 4, nearest + 5), key=lambda c: abs(c - crossing)):
        twice = 2 * x - centre
        bounds = edges[:, twice != 0] / twice[twice != 0]
        multiplier = np.float32((bounds.min(axis=0).max() + bounds.max(axis=0).min()) / 2)
        # As the kernels compute it: one float32 product, rounded to even.
        found = np.clip(np.rint(twice.astype(np.float32) * multiplier) + zero_point, low, high)
        if np.array_equal(found, table):
            return Requantization(centre, multiplier, low, high)
    return None
