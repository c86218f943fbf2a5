"""Compares the facts of a build's frame with those of its reference, and says what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from device.runtime.check_calls import Facts

# Of the largest magnitude of a tensor: what another order of float32 additions may change of an
# element, and of float16.
_TOLERANCE, _TOLERANCE_FP16 = 2e-5, 5e-3
# Of integers that are rounded from floats: the share that may be rounded the other way.
_SHARE, _SHARE_FP16 = 0.01, 0.2

Kind = Literal["weights", "results"]


@dataclass(frozen=True)
class Difference:
    """How far the arrays of a call are from those of the reference.

    Attributes:
        kind: of the arrays: constants, or what was computed.
        index: of the first wrong one among those.
        is_wrong: beyond what the order of float additions can do.
        share: of what is allowed; 0 where nothing differs.
    """

    kind: Kind
    index: int
    is_wrong: bool
    share: float


def compare_facts(found: Facts, expected: Facts, is_half: bool) -> Difference:
    """Compare the facts of a call; ``is_half`` says that some floats are float16.

    The weights come first: where those differ, so does what is computed of them.
    """
    if len(found) != len(expected):
        return Difference("results", 0, True, np.inf)
    weights = np.flatnonzero(found[0] != expected[0])
    if weights.size:
        return Difference("weights", int(weights[0]), True, np.inf)
    return compare_results(found[1:], expected[1:], is_half)


def compare_results(
    found: Sequence[NDArray[Any]], expected: Sequence[NDArray[Any]], is_half: bool
) -> Difference:
    """Compare what describes the results of a call, or the outputs of the network."""
    shares = [_share(*pair, is_half) for pair in zip(found, expected, strict=True)]
    for index, share in enumerate(shares):
        if not share <= 1:
            return Difference("results", index, True, share)
    return Difference("results", 0, False, max(shares, default=0.0))


def is_exact(expected: Facts) -> bool:
    """Whether nothing in a call's results may differ."""
    return all(one.dtype == np.uint64 for one in expected[1:])


def count_bits(found: NDArray[Any], expected: NDArray[Any]) -> str:
    """Say how many constants of two arrays are not the same to the bit, and by how much they differ
    at most."""
    ours, theirs = (
        np.ascontiguousarray(one).reshape(-1, 1).view(np.uint8) for one in (found, expected)
    )
    wrong = np.count_nonzero((ours != theirs).any(axis=1))
    most = _differences(found, expected).max(initial=0.0)
    return f"{wrong} of {found.size} values differ, by {most:.6g} at most"


def describe_values(found: NDArray[Any], expected: NDArray[Any], is_half: bool) -> str:
    """Say how many values of two arrays differ, and by how much at most."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return f"it is {found.dtype} {found.shape}, and {expected.dtype} {expected.shape} is wanted"
    allowed = 0.0
    if found.dtype.kind not in "iub":
        finite = expected[np.isfinite(expected)].astype(np.float64)
        largest = np.abs(finite).max(initial=0.0)
        allowed = (_TOLERANCE_FP16 if is_half else _TOLERANCE) * largest
    difference = _differences(found, expected)
    wrong = np.count_nonzero(difference > allowed)
    beyond = f" by more than {allowed:.2g}" if allowed else ""
    most = difference.max(initial=0.0)
    return f"{wrong} of {difference.size} values differ{beyond}, by {most:.6g} at most"


def _differences(found: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.float64]:
    """Of each value its distance, which is infinite where only one is a number."""
    ours, theirs = (one.reshape(-1).astype(np.float64) for one in (found, expected))
    with np.errstate(invalid="ignore"):
        difference = np.abs(ours - theirs)
    difference[(ours == theirs) | (np.isnan(ours) & np.isnan(theirs))] = 0
    return np.nan_to_num(difference, nan=np.inf, posinf=np.inf)


def _share(found: NDArray[Any], expected: NDArray[Any], is_half: bool) -> float:
    """What part of the allowed difference two facts have."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return np.inf
    if expected.dtype == np.uint64:
        return 0.0 if np.array_equal(found, expected) else np.inf
    if expected.dtype != np.float64:
        differing = np.count_nonzero(found != expected)
        # Of few values a single one may be on the edge.
        return differing / max(1.0, (_SHARE_FP16 if is_half else _SHARE) * expected.size)
    *_, largest, piece = expected
    allowed = (_TOLERANCE_FP16 if is_half else _TOLERANCE) * largest * sqrt(piece)
    sums, wanted = found[:-2], expected[:-2]
    same = (sums == wanted) | (np.isnan(sums) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(sums - wanted)).max(initial=0.0)
    if difference == 0:
        return 0.0
    return float(difference / allowed) if allowed and np.isfinite(difference) else np.inf
