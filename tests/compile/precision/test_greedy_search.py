"""The search, on a network of which costs and errors are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import pytest

from compile.precision.candidate import Candidate, pareto_front
from compile.precision.error_sources import ErrorSources, RoundedTensor
from compile.precision.forecast import Forecast, find_moves, lowered, raised
from compile.precision.greedy_search import Goal, cheapest, search_greedily
from compile.precision.scopes import IN_FLOAT, INT8, WEIGHT_ONLY, Assignment, Scopes

_COUNT = 6
_PATHS = ("body.0", "body.1", "body.2", "body.3", "head.0", "head.1")
_EVERY = tuple(frozenset({number}) for number in range(_COUNT))
SCOPES = Scopes(
    _PATHS,
    frozenset(),
    _EVERY,
    behind=tuple(frozenset(range(number, _COUNT)) for number in range(_COUNT)),
    makers=tuple(frozenset(range(number - 1, number)) - {-1} for number in range(_COUNT)),
    macs=(1,) * _COUNT,
)
#: The tensor in the head makes nearly all of the error, as in MQNet.
TENSORS = (1e-7, 2e-7, 1e-7, 4e-7, 9e-5, 1e-6)
WEIGHTS = (1e-8, 1e-8, 2e-8, 1e-8, 1e-8, 1e-8)
COSTS = {INT8: (4, 8, 8, 4, 3, 2), WEIGHT_ONLY: (12, 20, 24, 9, 4, 2.5), IN_FLOAT: (9,) * 6}


def true_sources(assignment: Assignment) -> ErrorSources:
    tensors = [
        RoundedTensor(error, number, (number + 1,) if number + 1 < _COUNT else ())
        for number, error in enumerate(TENSORS)
    ]
    rounded = tuple(one for one in tensors if one.is_rounded(assignment))
    weights = [
        0.0 if letter == IN_FLOAT else error
        for error, letter in zip(WEIGHTS, assignment, strict=True)
    ]
    return ErrorSources(tuple(weights), rounded)


class Known:
    """Evaluates without a build."""

    def __init__(self, wrong: Mapping[Assignment, str] = {}) -> None:
        self.candidates: list[Candidate] = []
        self.wrong = wrong
        for letters in (INT8 * 6, INT8 * 4 + WEIGHT_ONLY * 2, WEIGHT_ONLY * 6):
            self.evaluate(letters)

    def evaluate(self, assignment: Assignment) -> Candidate:
        for one in self.candidates:
            if one.assignment == assignment:
                return one
        sources = true_sources(assignment)
        error = sources.error(assignment)
        costs = tuple(float(COSTS[letter][n]) for n, letter in enumerate(assignment))
        found = Candidate(
            number=len(self.candidates) + 1,
            name=assignment,
            assignment=assignment,
            recipe="",
            db=-10 * math.log10(error + 1e-12),
            cost=sum(costs),
            costs=costs,
            sources=sources if INT8 in assignment else None,
            problem=self.wrong.get(assignment, ""),
        )
        self.candidates.append(found)
        return found


def optimum(db: float) -> float:
    """The least cost of all assignments that have ``db``."""
    known = Known()
    every = map("".join, itertools.product(COSTS, repeat=_COUNT))
    best = cheapest(map(known.evaluate, every), db)
    assert best is not None
    return best.cost


def test_the_forecast_of_a_sum_is_right():
    """Where errors and costs add up, what is expected is what will be."""
    known = Known()
    moves = find_moves(SCOPES, known.candidates[0])
    forecast = Forecast(SCOPES, known.candidates, known.candidates[0])
    several = [*raised(SCOPES, INT8 * 6, moves, with_float_weights=False)]
    assert len(several) > _COUNT
    for expected in forecast.expect(several):
        made = known.evaluate(expected.assignment)
        assert expected.db == pytest.approx(made.db, abs=1e-4)
    for expected in forecast.expect(one.assignment for one in known.candidates[:3]):
        assert expected.cost == pytest.approx(known.evaluate(expected.assignment).cost)
    back = Forecast(SCOPES, known.candidates, known.evaluate(INT8 * 4 + WEIGHT_ONLY * 2))
    for expected in back.expect(lowered(SCOPES, INT8 * 4 + WEIGHT_ONLY * 2, moves)):
        assert expected.db == pytest.approx(known.evaluate(expected.assignment).db, abs=1e-4)


def test_finds_the_cut_of_mixed():
    """Everything in int8 loses 20 dB in the head: floats there are all that is needed."""
    known = Known()
    search_greedily(known, SCOPES, Goal(known.candidates[1].db, 60), lambda _: None)
    found = cheapest(known.candidates, known.candidates[1].db)
    assert found is not None and found.assignment[:3] == INT8 * 3
    assert found.cost == pytest.approx(optimum(known.candidates[1].db))


@pytest.mark.parametrize("db", [50.0, 57.0, 62.0, 66.0])
def test_is_no_worse_than_the_schemes_and_near_the_best(db: float):
    known = Known()
    search_greedily(known, SCOPES, Goal(db, 60), lambda _: None)
    found = cheapest(known.candidates, db)
    assert found is not None and found.db >= db
    assert found.cost <= 1.1 * optimum(db)
    assert found in pareto_front(known.candidates)


def test_goes_on_past_what_cannot_be_built():
    best = Known()
    search_greedily(best, SCOPES, Goal(57.0, 60), lambda _: None)
    chosen = cheapest(best.candidates, 57.0)
    assert chosen is not None
    known = Known({chosen.assignment: "no kernel"})
    search_greedily(known, SCOPES, Goal(57.0, 60), lambda _: None)
    found = cheapest(known.candidates, 57.0)
    assert found is not None and found.assignment != chosen.assignment
    assert known.evaluate(chosen.assignment) not in pareto_front(known.candidates)


def test_keeps_to_its_trials_and_to_int8_weights():
    known = Known()
    search_greedily(known, SCOPES, Goal(70.0, 4, with_float_weights=False), lambda _: None)
    assert len(known.candidates) == 4
    assert not any(IN_FLOAT in one.assignment for one in known.candidates)


def test_nothing_to_do():
    """Where int8 is good enough, nothing is raised."""
    known = Known()
    search_greedily(known, SCOPES, Goal(1.0, 60), lambda _: None)
    best = cheapest(known.candidates, 1.0)
    assert best is known.candidates[0]
