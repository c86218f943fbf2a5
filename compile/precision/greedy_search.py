"""The search: from everything in int8 up to the dB that are wanted, and back where that costs less.

Every step is chosen by what is expected (:mod:`compile.precision.forecast`) and taken by what was
measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from compile.precision.candidate import Candidate
from compile.precision.forecast import Forecast, find_moves, lowered, raised
from compile.precision.scopes import Assignment, Scopes

# A step up is expected to bring so many dB, and this share of what is missing: smaller ones would
# each take a build.
_STEP_DB, _STEP_SHARE = 1.0, 0.2
_LEAST_DB = 0.01
# Of a frame: what costs less costs nothing.
_LEAST_SHARE = 5e-4
# How many dB above what is wanted a step down is expected to end: what is expected is not exact.
_MARGIN = 0.1
# Of steps that bring nothing; what they changed is left alone then.
_FAILURES = 3


class _Point(Protocol):
    """A candidate, or what is expected of one."""

    @property
    def db(self) -> float: ...

    @property
    def cost(self) -> float: ...


_AnyPoint = TypeVar("_AnyPoint", bound=_Point)


class Evaluates(Protocol):
    """Measures candidates, see :class:`compile.precision.evaluate_candidates.Evaluator`."""

    @property
    def candidates(self) -> list[Candidate]:
        """All so far, that of the scheme ``int8`` first."""

    def evaluate(self, assignment: Assignment) -> Candidate:
        """The candidate with ``assignment``."""


@dataclass(frozen=True)
class Goal:
    """What is searched for.

    Attributes:
        db: the least that a recipe may have.
        trials: the most candidates.
        with_float_weights: whether modules may have them, or only float activations.
    """

    db: float
    trials: int
    with_float_weights: bool = True


def cheapest(candidates: Iterable[Candidate], db: float) -> Candidate | None:
    """The one of least cost that has ``db`` at least."""
    good = [one for one in candidates if not one.problem and one.db >= db]
    return min(good, key=lambda one: (one.cost, -one.db, one.number), default=None)


def search_greedily(
    evaluator: Evaluates, scopes: Scopes, goal: Goal, say: Callable[[str], None]
) -> None:
    """Evaluate candidates until none of less cost is expected that has the dB of ``goal``.

    The schemes have been evaluated. ``say`` is told what is tried.
    """
    search = _Search(evaluator, scopes, goal)
    say("up from int8")
    here = evaluator.candidates[0]
    while here.db < goal.db and search.may_go_on(here):
        following = search.step_up(here)
        if following is None:
            break
        here = following
    best = cheapest(evaluator.candidates, goal.db)
    say("back to int8")
    if best is not None:
        search.improve(best)


class _Search:
    def __init__(self, evaluator: Evaluates, scopes: Scopes, goal: Goal) -> None:
        self._evaluator, self._scopes, self._goal = evaluator, scopes, goal
        self._moves = find_moves(scopes, evaluator.candidates[0])

    @property
    def has_trials(self) -> bool:
        return len(self._evaluator.candidates) < self._goal.trials

    def may_go_on(self, here: Candidate) -> bool:
        """Whether something that costs more than ``here`` could still be the cheapest."""
        known = cheapest(self._evaluator.candidates, self._goal.db)
        return self.has_trials and (known is None or here.cost < known.cost)

    def improve(self, best: Candidate) -> None:
        """Step down from ``best``, which has the dB wanted; and up once more and down again, for
        what was raised may let something else be lowered that costs more."""
        best, barred, failures = self.go_down(best), frozenset[int](), 0
        while failures < _FAILURES:
            above = self.step_up(best, barred)
            if above is None:
                return
            found = self.go_down(above)
            if found.cost < best.cost and found.db >= self._goal.db:
                best, barred, failures = found, frozenset(), 0
            else:
                barred |= _changed(best.assignment, above.assignment)
                failures += 1

    def step_up(self, here: Candidate, barred: frozenset[int] = frozenset()) -> Candidate | None:
        """The better of two steps up: the one change that brings most dB for its cost, and several
        small ones together; none of the scopes ``barred``. None where no step brings any."""
        moves = [move for move in self._moves if not move & barred]
        for _ in range(_FAILURES):
            forecast = Forecast(self._scopes, self._evaluator.candidates, here)
            tried = [self._several_up(forecast, here, moves), self._one_up(forecast, here, moves)]
            made = []
            for assignment in dict.fromkeys(one for one in tried if one is not None):
                if not self.has_trials:
                    break
                made.append(self._evaluator.evaluate(assignment))
            good = [one for one in made if not one.problem and one.db > here.db + _LEAST_DB]
            if good:
                return self._best(here, good)
            changed = frozenset().union(
                *(_changed(here.assignment, one.assignment) for one in made)
            )
            moves = [move for move in moves if not move & changed]
            if not made or not moves:
                return None
        return None

    def go_down(self, here: Candidate) -> Candidate:
        """The cheapest that steps down from ``here`` lead to and that has the dB wanted."""
        barred: frozenset[int] = frozenset()
        failures = 0
        while self.has_trials and failures < _FAILURES:
            moves = [move for move in self._moves if not move & barred]
            assignment = self._several_down(here, moves)
            if assignment is None:
                break
            found = self._evaluator.evaluate(assignment)
            if not found.problem and found.db >= self._goal.db and found.cost < here.cost:
                here = found
            else:
                barred |= _changed(here.assignment, assignment)
                failures += 1
        return here

    def _raised(
        self, assignment: Assignment, moves: Sequence[frozenset[int]]
    ) -> Iterator[Assignment]:
        return raised(self._scopes, assignment, moves, self._goal.with_float_weights)

    def _next(self, here: Candidate) -> float:
        """The dB that a step up from ``here`` is expected to reach."""
        return here.db + max(_STEP_DB, _STEP_SHARE * (self._goal.db - here.db))

    def _best(self, here: Candidate, steps: Sequence[_AnyPoint]) -> _AnyPoint | None:
        """Of ``steps`` up from ``here`` the one that brings most dB for what it costs."""
        top = max(self._goal.db, self._next(here))
        return max(steps, key=lambda one: _gain_for_cost(here, one, top), default=None)

    def _one_up(
        self, forecast: Forecast, here: Candidate, moves: Sequence[frozenset[int]]
    ) -> Assignment | None:
        expected = forecast.expect(self._raised(here.assignment, moves))
        good = [one for one in expected if one.db >= self._next(here)]
        best = self._best(here, good)
        return None if best is None else best.assignment

    def _several_up(
        self, forecast: Forecast, here: Candidate, moves: Sequence[frozenset[int]]
    ) -> Assignment | None:
        (reached,) = forecast.expect([here.assignment])
        while (before := reached).db < self._next(here):
            expected = forecast.expect(self._raised(before.assignment, moves))
            good = [one for one in expected if one.db > before.db + _LEAST_DB]
            if not good:
                break
            top = self._next(here)
            reached = max(good, key=lambda one: _gain_for_cost(before, one, top))
        return None if reached.assignment == here.assignment else reached.assignment

    def _several_down(self, here: Candidate, moves: Sequence[frozenset[int]]) -> Assignment | None:
        """Steps down from ``here``, those that save most for the dB that they take first, as long
        as the dB wanted are expected to be left."""
        forecast = Forecast(self._scopes, self._evaluator.candidates, here)
        (reached,) = forecast.expect([here.assignment])
        least = _LEAST_SHARE * here.cost
        while before := reached:
            expected = forecast.expect(lowered(self._scopes, before.assignment, moves))
            good = [
                one
                for one in expected
                if one.db >= self._goal.db + _MARGIN and one.cost < before.cost - least
            ]
            if not good:
                break
            reached = max(good, key=lambda one: _saved_for_loss(before, one))
        return None if reached.assignment == here.assignment else reached.assignment


def _changed(old: Assignment, new: Assignment) -> frozenset[int]:
    return frozenset(number for number, letter in enumerate(old) if letter != new[number])


def _gain_for_cost(before: _Point, after: _Point, top: float) -> tuple[float, float, float]:
    """dB up to ``top`` for what they cost more than ``before``. What costs nothing goes before all
    else, and of that what brings most."""
    gain, cost = min(after.db, top) - before.db, after.cost - before.cost
    if cost <= _LEAST_SHARE * before.cost:
        return math.inf, after.db, -cost
    return gain / cost, gain, -cost


def _saved_for_loss(before: _Point, after: _Point) -> float:
    return (before.cost - after.cost) / max(before.db - after.db, _LEAST_DB)
