"""How long to train, on what and at which rate: plain data, kept in every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

# Of all steps: where the rate drops to a third (the paper decays by steps, too).
_DROPS, _DROP = (0.55, 0.75, 0.88, 0.96), 0.33
_WARM_UP_STEPS = 200


@dataclass(frozen=True)
class Crops:
    """The crops of one step.

    Attributes:
        size: height and width in pixels.
        batch: how many, over all workers.
    """

    size: int
    batch: int


# What InstanceNorm takes away of a picture, and what the network finds to bring it back, depends on
# the size: zeros beyond the edges are a mark of known strength, and the fewer the larger the
# picture. A network that had seen 32,000 crops of 128 pixels was 1.3 dB better than the best tone
# curve on training scenes at that size, and 1.0 dB worse at 256. So sizes take turns.
CROPS = (Crops(128, 16), Crops(384, 2), Crops(192, 8), Crops(512, 2), Crops(256, 4))
# What a picture as a whole tells, its exposure and response, is learnt picture by picture, and of
# small ones there are more in a minute: they come first.
SMALL_CROPS = (Crops(128, 16), Crops(192, 8), Crops(256, 4))


@dataclass(frozen=True)
class Stage:
    """Part of a training.

    Attributes:
        until: share of all steps at which it ends.
        crops: sizes that take turns, step by step.
        bfloat16: convolutions compute in bfloat16.
    """

    until: float
    crops: tuple[Crops, ...]
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
        scheme: under whose fake quantization the network is fine-tuned, or None.
    """

    attention: str
    steps: int
    learning_rate: float
    seed: int
    stages: tuple[Stage, ...]
    scheme: str | None = None

    def stage_at(self, step: int) -> Stage:
        """The stage that ``step`` (from 0) belongs to."""
        return next(stage for stage in self.stages if step < stage.until * self.steps)

    def rate_at(self, step: int) -> float:
        """Adam's learning rate: a linear warm-up, then four drops to a third."""
        drops = sum(step >= share * self.steps for share in _DROPS)
        return self.learning_rate * _DROP**drops * min(1, (step + 1) / _WARM_UP_STEPS)

    def crops_at(self, step: int) -> Crops:
        """What ``step`` (from 0) trains on."""
        crops = self.stage_at(step).crops
        return crops[step % len(crops)]

    def crops_until(self, step: int) -> int:
        """How many crops the steps before ``step`` take."""
        return sum(self.crops_at(before).batch for before in range(step))
