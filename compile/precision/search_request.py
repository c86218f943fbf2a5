"""What a precision search is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from compile.build_request import BuildRequest
from compile.precision.evaluate_candidates import SCHEMES
from compile.support.errors import MqnetError

BEST = "best"
_BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:dB|db|DB)?\s*")
_MOST_TRIALS = 10_000


@dataclass(frozen=True)
class SearchRequest:
    """What to search.

    Attributes:
        build: the network, its size and the target; of the scheme ``int8``.
        budget: dB that the recipe may lose.
        against: the scheme that it may lose them to, or "best": the best of all.
        trials: the most candidates, with the schemes.
        with_float_weights: whether modules may have them, or only float activations.
        emulated_root: of the emulated board; None to measure on this machine.
        photos: folder of photographs to measure dB on; None for those that come with the project.
        out: the recipe to write; table, figure and log are beside it.
    """

    build: BuildRequest
    budget: float
    against: str
    trials: int
    with_float_weights: bool
    emulated_root: Path | None
    photos: Path | None
    out: Path

    def check(self) -> None:
        """Raise MqnetError where a value is none."""
        if self.against not in (BEST, *SCHEMES):
            known = ", ".join((BEST, *SCHEMES))
            raise MqnetError(f"against {self.against!r} is no scheme of the front: choose {known}")
        if not len(SCHEMES) <= self.trials <= _MOST_TRIALS:
            raise MqnetError(
                f"trials {self.trials} is no number from {len(SCHEMES)}, the schemes, to "
                f"{_MOST_TRIALS}"
            )

    @property
    def log(self) -> Path:
        """Of evaluated candidates."""
        return self.out.with_suffix(".jsonl")

    @property
    def table(self) -> Path:
        """Of the front."""
        return self.out.with_suffix(".csv")

    @property
    def picture(self) -> Path:
        """Of the front."""
        return self.out.with_suffix(".png")


def parse_budget(text: str) -> float:
    """dB of a text such as "0.2dB".

    Raises:
        MqnetError: it is no number of dB.
    """
    match = _BUDGET.fullmatch(text)
    if match is None:
        raise MqnetError(f"budget {text!r} is no number of dB, such as 0.2dB")
    return float(match[1])
