"""What a regret is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from compile.search.tune_request import TuneRequest
from compile.support.check_positive import check_positive
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
        check_positive(kernels=self.kernels, seeds=self.seeds, turns=self.turns)
        for number in self.trials:
            check_positive(trials=number)
        if self.generic_trials < 0:
            raise MqnetError(f"metaschedule {self.generic_trials} is below zero")
