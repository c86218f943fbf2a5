"""How far the tuning of one kernel has come, and what another batch can be expected to give."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

import numpy as np

from compile.search.cost_model import CostModel
from compile.search.kernel_task import KernelTask

# Before a kernel's first batch: by how much the best of a few configurations usually beats the
# default.
_FIRST_PROMISE = 0.15
# What is left of a promise behind a batch that saves nothing.
_KEPT_PROMISE = 0.7
# Part of a batch that is drawn at random, so that the model also sees what it thinks little of.
_RANDOM_SHARE = 0.125


@dataclass
class TaskState:
    """One kernel in a session.

    Attributes:
        task: the kernel.
        features: of the kernel, for the cost model.
        default: the default configuration.
        configurations: all, the default one too.
        seconds: of each measured configuration.
        failed: configurations that did not build, crashed, or computed something else; and why.
        promise: part of its time that the next batch can be expected to save.
        trials: candidates tried in this session.
        broken: why it is not tuned at all, or "".
    """

    task: KernelTask
    features: list[float]
    default: str
    configurations: list[str]
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    promise: float = _FIRST_PROMISE
    trials: int = 0
    broken: str = ""

    @property
    def best(self) -> str:
        """The fastest measured configuration, which was checked."""
        return min(self.seconds, key=self.seconds.__getitem__)

    @property
    def best_seconds(self) -> float:
        """Of one call."""
        return self.seconds[self.best]

    @property
    def frame_seconds(self) -> float:
        """Of all calls in a frame; 0 where nothing could be measured."""
        return self.task.calls * self.best_seconds if self.seconds else 0.0

    @property
    def gain(self) -> float:
        """The default configuration's time over the best one's."""
        return self.seconds[self.default] / self.best_seconds if self.default in self.seconds else 1

    @property
    def expected_gain(self) -> float:
        """Seconds of a frame that the next batch can be expected to save."""
        return 0.0 if self.broken or not self.untried() else self.promise * self.frame_seconds

    def untried(self) -> list[str]:
        """Configurations that were neither measured nor failed."""
        return [c for c in self.configurations if c not in self.seconds and c not in self.failed]

    def next_batch(self, count: int, model: CostModel, random: Random) -> list[str]:
        """Up to ``count`` untried configurations: those the model thinks most of, and a few
        others."""
        untried = self.untried()
        random.shuffle(untried)
        predicted = model.predict(self.features, untried) if untried else None
        if predicted is None:
            return untried[:count]
        ranked = [untried[place] for place in np.argsort(predicted, kind="stable")]
        by_rank = count - int(count * _RANDOM_SHARE)
        others = ranked[by_rank:]
        random.shuffle(others)
        return ranked[:by_rank] + others[: count - by_rank]

    def learn_from_batch(self, before: float) -> None:
        """Expect something between what was expected of the last batch and what it gave; ``before``
        are the best configuration's seconds before the batch."""
        saved = 1 - self.best_seconds / before
        self.promise = _KEPT_PROMISE * self.promise + (1 - _KEPT_PROMISE) * saved
