"""Two figures for each candidate, and how alike they rank the candidates of each kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

# Of fewer candidates a rank correlation says nothing.
_FEWEST = 5


@dataclass(frozen=True)
class RankedCandidate:
    """A candidate, by the emulated board's model and by what it is held against.

    Attributes:
        target: name of the target, or of this machine's instruction set.
        kernel, family: of the network.
        choice: of the kernel's loops.
        emulated_cycles: by the model: EMULATED, no time.
        core_cycles: of these, without what caches miss, of which llvm-mca knows nothing.
        instructions: executed, as the figure that is to be beaten.
        reference: cycles of llvm-mca, or nanoseconds of this machine.
    """

    target: str
    kernel: str
    family: str
    choice: str
    emulated_cycles: float
    core_cycles: float
    instructions: int
    reference: float


@dataclass(frozen=True)
class Ranking:
    """Of one target.

    Attributes:
        target: see :class:`RankedCandidate`.
        reference: what it is held against, in words.
        candidates: all.
    """

    target: str
    reference: str
    candidates: Sequence[RankedCandidate]

    def kernels(self) -> dict[str, list[RankedCandidate]]:
        """The candidates of each kernel."""
        found: dict[str, list[RankedCandidate]] = {}
        for one in self.candidates:
            found.setdefault(one.kernel, []).append(one)
        return found

    def spearman(self, figure: str = "emulated_cycles") -> dict[str, float]:
        """Rank correlation of ``figure`` with the reference, by kernel; 1 is the same order."""
        return {
            kernel: _rank_correlation(
                [getattr(one, figure) for one in candidates], [one.reference for one in candidates]
            )
            for kernel, candidates in self.kernels().items()
            if len(candidates) >= _FEWEST
        }

    def regret(self) -> dict[str, float]:
        """By kernel: the reference of the candidate that the model would choose, over the best."""
        return {
            kernel: min(candidates, key=lambda one: one.emulated_cycles).reference
            / min(one.reference for one in candidates)
            for kernel, candidates in self.kernels().items()
        }

    def summary(self) -> Mapping[str, Any]:
        """Medians over the kernels, and the worst one."""
        by_model, by_count = self.spearman(), self.spearman("instructions")
        regret = self.regret()
        return {
            "target": self.target,
            "reference": self.reference,
            "kernels": len(regret),
            "candidates": len(self.candidates),
            "spearman_median": float(np.median(list(by_model.values()))),
            "spearman_worst": min(by_model.values()),
            "spearman_of_instructions_median": float(np.median(list(by_count.values()))),
            "regret_median": float(np.median(list(regret.values()))),
            "regret_worst": max(regret.values()),
        }

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            **self.summary(),
            "spearman": self.spearman(),
            "regret": self.regret(),
            "rows": [asdict(one) for one in self.candidates],
        }


def _rank_correlation(figures: Sequence[float], references: Sequence[float]) -> float:
    """Spearman's; 0 where all are alike, which ranks nothing."""
    if len(set(figures)) == 1 or len(set(references)) == 1:
        return 0.0
    return float(spearmanr(figures, references).statistic)
