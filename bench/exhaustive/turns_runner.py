"""Measures each library several times over, in turns with its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compile.search.kernel_task import TaskArguments
from compile.search.runner import Measurement, Runner


@dataclass
class TurnsRunner:
    """``runner``, whose measurement of a library is the middle one of ``turns``: a machine's clock
    changes within seconds, and the best of hundreds would be a lucky one.

    Attributes:
        runner: that measures.
        turns: how often.
        device, warnings: the runner's.
    """

    runner: Runner
    turns: int
    device: dict[str, Any] = field(init=False)
    warnings: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Take the device over."""
        self.device, self.warnings = self.runner.device, self.runner.warnings

    def measure(self, jobs: Sequence[tuple[TaskArguments, Path]]) -> list[Measurement]:
        """Each library's middle measurement; one that failed, where any has."""
        rounds = [self.runner.measure(jobs) for _ in range(self.turns)]
        return [_middle(of_job) for of_job in zip(*rounds, strict=True)]

    def check(self, arguments: TaskArguments, library: Path, expected: Path) -> str:
        """As the runner's."""
        return self.runner.check(arguments, library, expected)

    def reference(self) -> float:
        """As the runner's."""
        return self.runner.reference()

    def close(self) -> None:
        """Whoever has opened the runner closes it."""


def _middle(measurements: Sequence[Measurement]) -> Measurement:
    for one in measurements:
        if one.error:
            return one
    return sorted(measurements, key=lambda one: one.rank)[len(measurements) // 2]
