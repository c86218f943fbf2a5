"""What a change of precisions is expected to bring, from what was evaluated before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compile.precision.candidate import Candidate
from compile.precision.error_sources import ErrorSources
from compile.precision.scopes import IN_FLOAT, INT8, WEIGHT_ONLY, Assignment, Scopes

ORDER = {INT8: 0, WEIGHT_ONLY: 1, IN_FLOAT: 2}
_LEAST_ERROR = 1e-20
# A convolution of integers with float results, beside one with integers.
_MIXED = 1.5


@dataclass(frozen=True)
class Expected:
    """An assignment that was not evaluated yet.

    Attributes:
        assignment: a letter for each scope.
        db, cost: that are expected of it.
    """

    assignment: Assignment
    db: float
    cost: float


class Forecast:
    """Expects dB and costs near the candidate ``here``.

    Errors of weights and of rounded tensors add up. Of those that ``here`` has, it says how large
    they are, of all others the candidate of the scheme ``int8`` does, the first of ``candidates``.
    Costs of a scope are those of the last candidate that had it in that precision, and that read
    integers or floats there: a convolution of both with int8 weights is another kernel.
    """

    def __init__(self, scopes: Scopes, candidates: Sequence[Candidate], here: Candidate) -> None:
        all_int8 = candidates[0].sources
        assert all_int8 is not None
        mine = here.sources or ErrorSources(all_int8.weights, ())
        others = [one for one in all_int8.tensors if not one.is_rounded(here.assignment)]
        tensors = [*mine.tensors, *others]
        self._rounding = np.array([max(0.0, one.error) for one in tensors])
        self._around = np.zeros((len(here.assignment), len(tensors)), np.float32)
        for number, one in enumerate(tensors):
            for scope in (one.maker, *one.readers):
                if scope >= 0:
                    self._around[scope, number] = 1
        weights = [
            all_int8.weights[number] if letter == IN_FLOAT else mine.weights[number]
            for number, letter in enumerate(here.assignment)
        ]
        self._weights = np.maximum(0.0, weights)
        self._makers = np.zeros((len(scopes.paths), len(scopes.paths)), np.float32)
        for number, makers in enumerate(scopes.makers):
            self._makers[[*makers], number] = 1
        self._costs = self._costs_of(candidates)
        self._here = here
        self._cost, self._error = 0.0, 0.0
        self._cost, self._error = (float(one[0]) for one in self._sums([here.assignment]))

    def expect(self, assignments: Iterable[Assignment]) -> list[Expected]:
        """What to expect of each of ``assignments``."""
        several = list(assignments)
        if not several:
            return []
        costs, errors = self._sums(several)
        decibels = self._here.db - 10 * np.log10(
            (errors + _LEAST_ERROR) / (self._error + _LEAST_ERROR)
        )
        costs += self._here.cost - self._cost
        return [
            Expected(assignment, float(db), float(cost))
            for assignment, db, cost in zip(several, decibels, costs, strict=True)
        ]

    def _sums(self, assignments: Sequence[Assignment]) -> tuple[NDArray, NDArray]:
        """Costs and errors by what is known of each scope."""
        ranks = np.array([[ORDER[letter] for letter in each] for each in assignments])
        scopes = np.arange(ranks.shape[1])
        costs = self._costs[scopes, ranks, self._reads_floats(ranks)].sum(axis=1)
        is_rounded = (ranks == ORDER[INT8]).astype(np.float32) @ self._around > 0
        errors = is_rounded @ self._rounding + (ranks != ORDER[IN_FLOAT]) @ self._weights
        return costs, errors

    def _reads_floats(self, ranks: NDArray) -> NDArray:
        """Of each scope in each assignment, whether it reads any."""
        return ((ranks != ORDER[INT8]).astype(np.float32) @ self._makers > 0).astype(int)

    def _costs_of(self, candidates: Iterable[Candidate]) -> NDArray:
        """By scope, precision, and whether it reads floats. Where none was built, a precision costs
        as where it reads floats; float weights as int8 ones with float activations; and those where
        integers are read at most half as much again as int8."""
        scopes = np.arange(len(self._makers))
        costs = np.full((len(scopes), len(ORDER), 2), np.nan)
        for one in candidates:
            if not one.problem:
                ranks = np.array([ORDER[letter] for letter in one.assignment])
                costs[scopes, ranks, self._reads_floats(ranks[None])[0]] = one.costs
        int8, weight_only, in_float = (costs[:, ORDER[one]] for one in ORDER)
        _fill(int8[:, 1], int8[:, 0])
        _fill(int8[:, 0], int8[:, 1])
        _fill(weight_only[:, 0], np.fmin(weight_only[:, 1], _MIXED * int8[:, 0]))
        _fill(weight_only[:, 1], weight_only[:, 0])
        _fill(in_float[:, 1], weight_only[:, 1])
        _fill(in_float[:, 0], in_float[:, 1])
        return np.nan_to_num(costs)


def _fill(known: NDArray, others: NDArray) -> None:
    """Put ``others`` where nothing is known."""
    known[:] = np.where(np.isnan(known), others, known)


def find_moves(scopes: Scopes, int8: Candidate) -> tuple[frozenset[int], ...]:
    """The sets of scopes whose precision is changed together: each module with what is below it; a
    convolution with its activation; a module and all that is computed from it; and who makes and
    who reads a tensor, which has to be rounded for any of them."""
    found: dict[frozenset[int], None] = {}
    prefixes = {
        ".".join(path.split(".")[:length])
        for path in scopes.paths
        for length in range(1, path.count(".") + 2)
    }
    found |= dict.fromkeys(scopes.whole(scopes.below(prefix)) for prefix in sorted(prefixes))
    found |= dict.fromkeys(scopes.whole(group) for group in scopes.groups)
    found |= dict.fromkeys(scopes.whole(behind) for behind in scopes.behind)
    assert int8.sources is not None
    for tensor in int8.sources.tensors:
        around = {number for number in (tensor.maker, *tensor.readers) if number >= 0}
        found[scopes.whole(around)] = None
    return tuple(move for move in found if move)


def raised(
    scopes: Scopes,
    assignment: Assignment,
    moves: Sequence[frozenset[int]],
    with_float_weights: bool = True,
) -> Iterator[Assignment]:
    """What ``moves`` make of ``assignment`` where they take less precise scopes up to a letter."""
    letters = (WEIGHT_ONLY, IN_FLOAT) if with_float_weights else (WEIGHT_ONLY,)
    return _moved(scopes, assignment, moves, letters, 1)


def lowered(
    scopes: Scopes, assignment: Assignment, moves: Sequence[frozenset[int]]
) -> Iterator[Assignment]:
    """What ``moves`` make of ``assignment`` where they take more precise scopes down."""
    return _moved(scopes, assignment, moves, (INT8, WEIGHT_ONLY), -1)


def _moved(
    scopes: Scopes,
    assignment: Assignment,
    moves: Sequence[frozenset[int]],
    letters: Sequence[str],
    sign: int,
) -> Iterator[Assignment]:
    found: dict[Assignment, None] = {}
    for letter in letters:
        rank = ORDER[letter]
        changing = {n for n, old in enumerate(assignment) if sign * (rank - ORDER[old]) > 0}
        for move in moves:
            if touched := (move & changing) - scopes.frozen:
                found[scopes.with_letter(assignment, touched, letter)] = None
    yield from found
