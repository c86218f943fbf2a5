"""What a session's times say, and when they say nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_RESAMPLES, _SEED = 2000, 0
_CONFIDENCE = 95
_FEWEST_FRAMES = 20
_WIDEST_SPREAD = 0.25
_LARGEST_DRIFT = 0.1
# As a device that was stopped and continued: the median does not show it.
_STANDSTILL_SECONDS, _TIMES_AS_LONG = 1.0, 20


def percentile_ms(visits: Sequence[Sequence[float]], percent: float) -> float:
    """Percentile, in milliseconds, of the frames of all visits, in seconds."""
    return float(np.percentile(np.concatenate(visits), percent) * 1e3)


def ratio_interval(
    ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]
) -> tuple[float, float]:
    """95 % confidence interval of median(theirs) / median(ours), by the percentile bootstrap
    (Efron and Tibshirani, 1993, section 13.3).

    Whole visits are drawn, not frames: frames of one visit have one state of the machine in common.
    """
    random = np.random.default_rng(_SEED)
    draws = [_resampled_medians(visits, random) for visits in (theirs, ours)]
    tail = (100 - _CONFIDENCE) / 2
    low, high = np.percentile(draws[0] / draws[1], [tail, 100 - tail])
    return float(low), float(high)


def _resampled_medians(
    visits: Sequence[Sequence[float]], random: np.random.Generator
) -> NDArray[np.float64]:
    times = np.asarray(visits)
    drawn = random.integers(len(times), size=(_RESAMPLES, len(times)))
    return np.median(times[drawn].reshape(_RESAMPLES, -1), axis=1)


def flags_of_times(visits: Sequence[Sequence[float]]) -> list[str]:
    """Return why the times of an engine should not be relied on; empty where nothing speaks against
    it."""
    times = np.concatenate(visits)
    found = []
    if len(times) < _FEWEST_FRAMES:
        found.append(f"only {len(times)} frames")
    low, median, high = np.percentile(times, [10, 50, 90])
    if (high - low) / median > _WIDEST_SPREAD:
        found.append(f"spread {(high - low) / median:.0%}")
    third = max(1, len(visits) // 3)
    first, last = (np.median(np.concatenate(part)) for part in (visits[:third], visits[-third:]))
    if last / first - 1 > _LARGEST_DRIFT:
        found.append(f"slowed down by {last / first - 1:.0%}")
    still = times.max() - median
    if still > max(_STANDSTILL_SECONDS, _TIMES_AS_LONG * median):
        found.append(f"stood still for {still:.0f} s in a frame")
    return found
