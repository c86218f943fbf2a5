"""The range of a tensor's values that int8 stands for, out of their histogram.

torchao's search (:mod:`compile.quantize.observers`) cuts what costs least of the squared error, a
hundred-thousandth of the values at a time, and stops where the next cut costs more. Here are the
other three that the field knows; torchao has none of them. Each takes the histogram's counts,
float64 [bins], and gives the first bin of the range and the one behind its last.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from compile.quantize.schemes import Calibration

Counts = NDArray[np.float64]
Range = tuple[int, int]

_LEVELS = 256
#: Ends that are tried, of each side of a histogram.
_ENDS = 48
_ROUNDS = 2
#: Kullback and Leibler's divergence is infinite where something is expected nowhere.
_LEAST = 1e-12


def choose_range(counts: Counts, calibration: Calibration, zero: int = -1) -> Range:
    """The range that the method of ``calibration`` takes of ``counts``, of which the bin ``zero``
    holds 0, if one does."""
    if calibration.method == "percentile":
        return percentile_range(counts, calibration.percentile)
    if calibration.method == "mse":
        return _least(counts, squared_error)
    if 0 <= zero < len(counts):
        # Zeros are exact whatever the range, and of what is rectified they are most of it.
        counts = counts.copy()
        counts[zero] = counts[zero + 1 if zero + 1 < len(counts) else zero - 1]
    return _least(counts, divergence)


def percentile_range(counts: Counts, percentile: float) -> Range:
    """The range that leaves out half of what is beyond ``percentile`` on either side."""
    cumulative = np.cumsum(counts)
    outside = cumulative[-1] * (1 - percentile / 100) / 2
    start = int(np.searchsorted(cumulative, outside, "right"))
    end = int(np.searchsorted(cumulative, cumulative[-1] - outside, "left")) + 1
    return min(start, len(counts) - 1), min(max(end, start + 1), len(counts))


def squared_error(counts: Counts, start: int, end: int) -> float:
    """What 256 levels from ``start`` to ``end`` cost, in squares of a bin's width: values are in
    the middle of their bins."""
    centres = np.arange(len(counts)) + 0.5
    step = (end - start) / (_LEVELS - 1)
    nearest = np.clip(np.rint((centres - start) / step), 0, _LEVELS - 1) * step + start
    return float(counts @ np.square(centres - nearest))


def divergence(counts: Counts, start: int, end: int) -> float:
    """Kullback and Leibler's divergence of the values from what 256 levels from ``start`` to
    ``end`` leave of them; what is outside is at the ends (Migacz, "8-bit inference with TensorRT",
    GTC 2017, for both signs). Infinite of fewer bins than levels, which would all be kept."""
    if end - start < _LEVELS:
        return float("inf")
    inside = counts[start:end].copy()
    level = np.arange(end - start) * _LEVELS // (end - start)
    is_there = inside > 0
    sums = np.bincount(level, inside, _LEVELS)
    places = np.bincount(level, is_there, _LEVELS)
    left = np.where(is_there, sums[level] / np.maximum(places[level], 1), 0)
    inside[0] += counts[:start].sum()
    inside[-1] += counts[end:].sum()
    wanted, found = inside / inside.sum(), left / max(left.sum(), _LEAST)
    seen = wanted > 0
    ratios = wanted[seen] / np.maximum(found[seen], _LEAST)
    return float(wanted[seen] @ np.log(ratios))


def _least(counts: Counts, error: Callable[[Counts, int, int], float]) -> Range:
    """The range of the least ``error``: the upper end is moved, then the lower one, and both once
    more."""
    size = len(counts)
    start, end = 0, size
    lows, highs = _ends(counts), [size - one for one in _ends(counts[::-1])]
    for _ in range(_ROUNDS):
        end = min((one for one in highs if one > start), key=lambda one: error(counts, start, one))
        start = min((one for one in lows if one < end), key=lambda one: error(counts, one, end))
    return start, end


def _ends(counts: Counts) -> list[int]:
    """Bins from the first to half of all, none of which leaves out more than a fifth of what is
    there."""
    most = int(np.searchsorted(np.cumsum(counts), counts.sum() / 5))
    return sorted({*np.linspace(0, min(most, len(counts) // 2), _ENDS).astype(int).tolist()})
