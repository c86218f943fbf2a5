"""How long to train, on what and at which rate: plain data, kept in every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

# Of all steps: where the rate drops to a third (the paper decays by steps, too).
_DROPS, _DROP = (0.55, 0.75, 0.88, 0.96), 0.33
_WARM_UP_STEPS = 200


@dataclass(frozen=True)
class Stage:
    """Part of a training with crops of one size.

    Attributes:
        until: share of all steps at which it ends.
        size: height and width of a crop.
        batch: crops of a step, over all workers.
        bfloat16: convolutions of the backbone compute in bfloat16.
    """

    until: float
    size: int
    batch: int
    bfloat16: bool


@dataclass(frozen=True)
class TrainingPlan:
    """A training from its first step to its last.

    Attributes:
        attention: of the network.
        steps: optimizer steps in all.
        learning_rate: Adam's, after the warm-up.
        seed: of the weights and of the data.
        stages: in order; the last one's ``until`` is 1.
    """

    attention: str
    steps: int
    learning_rate: float
    seed: int
    stages: tuple[Stage, ...]

    def stage_at(self, step: int) -> Stage:
        """The stage that ``step`` (from 0) belongs to."""
        return next(stage for stage in self.stages if step < stage.until * self.steps)

    def rate_at(self, step: int) -> float:
        """Adam's learning rate: a linear warm-up, then four drops to a third."""
        drops = sum(step >= share * self.steps for share in _DROPS)
        return self.learning_rate * _DROP**drops * min(1, (step + 1) / _WARM_UP_STEPS)

    def crops_until(self, step: int) -> int:
        """How many crops the steps before ``step`` take."""
        total, start = 0, 0
        for stage in self.stages:
            end = min(step, -int(-stage.until * self.steps // 1))
            total += max(0, end - start) * stage.batch
            start = max(start, end)
        return total
