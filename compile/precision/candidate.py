"""A candidate of a precision search, as its log keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from compile.precision.error_sources import ErrorSources
from compile.precision.scopes import Assignment


class Candidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A network with a precision for each module, built and measured.

    Attributes:
        number: in the order of evaluation, from 1.
        name: what it is, in one line.
        assignment: a letter for each scope (:mod:`compile.precision.scopes`).
        recipe: as TOML.
        db: mean over the photographs of what its outputs have to float32's.
        least_db: of the worst photograph.
        cost: of a frame, in the search's unit.
        costs: of that, by scope.
        weight_bytes: of its constants.
        sources: of its error; None where nothing is in int8.
        problem: why it could not be built or run; "" where it was.
    """

    number: int
    name: str
    assignment: Assignment
    recipe: str
    db: float = 0.0
    least_db: float = 0.0
    cost: float = 0.0
    costs: tuple[float, ...] = ()
    weight_bytes: int = 0
    sources: ErrorSources | None = None
    problem: str = ""

    def beats(self, other: Candidate) -> bool:
        """Whether it is no worse by both axes, and better by one."""
        no_worse = self.db >= other.db and self.cost <= other.cost
        return no_worse and (self.db, self.cost) != (other.db, other.cost)


def pareto_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of ``candidates`` that no other one beats, the cheapest first."""
    good = [one for one in candidates if not one.problem]
    front = [one for one in good if not any(other.beats(one) for other in good)]
    return sorted(front, key=lambda one: (one.cost, one.number))
