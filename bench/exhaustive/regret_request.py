"""What a regret is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from compile.search.tune_request import TuneRequest
from compile.support.errors import MqnetError


@dataclass(frozen=True)
class RegretRequest:
    """What is found out.

    Attributes:
        tune: the target and the network; its logs' folder is that of the results.
        kernels: how many, those with the most multiply-accumulates in a frame.
        trials: numbers of candidates behind which the regret is told.
        seeds: how many sessions each.
        turns: how often each candidate is measured.
        after: logs that a cost model begins with, by name or folder, each in sessions of its own.
        generic_trials: candidates of MetaSchedule's generic space of each kernel; 0: none.
    """

    tune: TuneRequest
    kernels: int
    trials: tuple[int, ...]
    seeds: int
    turns: int
    after: tuple[str, ...]
    generic_trials: int

    def check(self) -> None:
        """Raise MqnetError where a number is out of its range."""
        self.tune.check()
        for name in ("kernels", "seeds", "turns"):
            if getattr(self, name) < 1:
                raise MqnetError(f"{name} {getattr(self, name)} is not a positive number")
        for number in self.trials:
            if number < 1:
                raise MqnetError(f"trials {number} is not a positive number")
        if self.generic_trials < 0:
            raise MqnetError(f"metaschedule {self.generic_trials} is below zero")
