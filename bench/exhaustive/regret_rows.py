"""How far from the best a search is after so many candidates, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.exhaustive.generic_search import GenericResult

#: The row of all kernels in one session, whose candidates are counted for each kernel.
ALL_KERNELS = "all in one session"


@dataclass(frozen=True)
class RegretRow:
    """Of one kernel, by one start.

    Attributes:
        start: what the cost model knew before: "cold", or "after" a log.
        kernel, family: by name; :data:`ALL_KERNELS` and "" of all kernels together.
        configurations: how many there are.
        by_trials: by how many candidates, for each seed, what the best one found takes longer than
            the best of all, as a part of that.
    """

    start: str
    kernel: str
    family: str
    configurations: int
    by_trials: dict[int, tuple[float, ...]]


@dataclass(frozen=True)
class RegretSummary:
    """Over the kernels and seeds of one start, behind so many candidates of each kernel.

    Attributes:
        start, trials: see :class:`RegretRow`.
        median, worst: of the regret, as a part of the best time.
    """

    start: str
    trials: int
    median: float
    worst: float


@dataclass(frozen=True)
class GenericRow:
    """MetaSchedule's generic space beside ours.

    Attributes:
        kernel: by name.
        trials, measured: candidates that were tried, and that ran.
        ratio: its best time over the best of ours; None where no candidate was right.
        minutes: that its search took here.
        our_minutes: that so many of our candidates took.
    """

    kernel: str
    trials: int
    measured: int
    ratio: float | None
    minutes: float
    our_minutes: float


def regret_after(frames: Sequence[float], best: float, trials: int) -> float:
    """Part of ``best`` by which the best of the first ``trials`` candidates takes longer.

    Args:
        frames: seconds of the best behind each candidate; a search may have ended before.
        best: seconds of the best of all.
        trials: how many candidates.
    """
    known = frames[:trials]
    return min(known) / best - 1 if known else float("inf")


def summarize(rows: Iterable[RegretRow]) -> list[RegretSummary]:
    """By start and number of candidates; without the rows of all kernels together."""
    found: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        if row.kernel != ALL_KERNELS:
            for trials, regrets in row.by_trials.items():
                found.setdefault((row.start, trials), []).extend(regrets)
    return [
        RegretSummary(start, trials, median(regrets), max(regrets))
        for (start, trials), regrets in found.items()
    ]


def generic_row(
    result: GenericResult, name: str, best_seconds: float, seconds_per_trial: float
) -> GenericRow:
    """Beside a space whose best takes ``best_seconds``."""
    ratio = None if result.seconds is None else result.seconds / best_seconds
    ours = result.trials * seconds_per_trial / 60
    return GenericRow(name, result.trials, result.measured, ratio, result.took / 60, ours)
