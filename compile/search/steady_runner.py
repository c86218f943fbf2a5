"""Measures again what was measured while the device's speed changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from compile.search.kernel_task import TaskArguments
from compile.search.runner import Measurement, Runner, has_drifted

_SECONDS_TO_CALM = 2.0


class SteadyRunner:
    """``runner`` with a look at its reference kernel behind each batch; ``say`` is given a sentence
    where the device's speed has changed for good.

    Attributes:
        repeated: batches measured again because the reference kernel had drifted.
    """

    def __init__(self, runner: Runner, say: Callable[[str], None]) -> None:
        self._runner, self._say = runner, say
        self._reference: float | None = None
        self.repeated = 0

    def measure(self, jobs: Sequence[tuple[TaskArguments, Path]]) -> list[Measurement]:
        """Measure each library of ``jobs``; again, where the device was not the same before and
        behind."""
        if not jobs:
            return []
        measurements = self._runner.measure(jobs)
        if self._drifted():
            self.repeated += 1
            time.sleep(_SECONDS_TO_CALM)
            before = self._reference
            assert before is not None
            measurements = self._runner.measure(jobs)
            if self._drifted():
                self._reference = self._runner.reference()
                change = self._reference / before - 1
                self._say(
                    f"the device's speed has changed by {-change:+.0%}: times before and after "
                    "differ by that"
                )
        return measurements

    def _drifted(self) -> bool:
        now = self._runner.reference()
        if self._reference is None:
            self._reference = now
        return has_drifted(now, self._reference)
