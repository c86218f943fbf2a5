"""What counts for the same in the facts of two frames."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from device.client.compare_facts import compare_facts, count_bits, describe_values, is_exact
from device.runtime.check_calls import _summary, pack_arrays, unpack_arrays

CONSTANTS = np.array([3, 4], np.uint64)


def noise(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(count).astype(np.float32)


def share_of(found: NDArray, expected: NDArray, is_rounded: bool = False) -> float:
    facts = ([CONSTANTS, _summary(one, is_rounded)] for one in (found, expected))
    return compare_facts(*facts, is_half=False).share


def test_a_constant_comes_before_what_is_computed_of_it() -> None:
    one, other = ([CONSTANTS + np.uint64(add), np.array([add], np.uint64)] for add in (0, 1))
    found = compare_facts(one, other, is_half=False)
    assert (found.kind, found.index, found.is_wrong) == ("weights", 0, True)
    assert is_exact(one) and not compare_facts(one, one, is_half=False).is_wrong
    assert compare_facts([], one, is_half=False).is_wrong


def test_integers_are_the_same_or_wrong() -> None:
    values = np.arange(100, dtype=np.int8)
    assert share_of(values, values.copy()) == 0
    assert share_of(np.roll(values, 1), values) > 1


@pytest.mark.parametrize("count", [1, 4096, 100_000])
def test_floats_in_another_order_are_the_same(count: int) -> None:
    values = noise(count)
    other = (values.astype(np.float64) * (1 + 1e-6 * noise(count, 1))).astype(np.float32)
    assert share_of(other, values) < 1
    wrong = values.copy()
    wrong[count // 2] += 0.1
    assert share_of(wrong, values) > 1


def test_floats_that_have_changed_places_are_wrong() -> None:
    values = noise(100_000)
    wrong = values.copy()
    wrong[[10, 11]] = values[[11, 10]]
    assert share_of(wrong, values) > 1


def test_floats_that_are_no_numbers() -> None:
    values = np.array([1, np.nan, np.inf, 0], np.float32)
    assert share_of(values, values.copy()) == 0
    assert share_of(np.array([1, 2, np.inf, 0], np.float32), values) > 1
    assert share_of(np.array([1, np.nan, -np.inf, 0], np.float32), values) > 1
    assert share_of(np.zeros(0, np.float32), np.zeros(0, np.float32)) == 0


def test_integers_of_floats_may_be_rounded_the_other_way() -> None:
    values = np.arange(1000, dtype=np.int16)
    wrong = values.copy()
    wrong[:5] += 1
    assert 0 < share_of(wrong, values, is_rounded=True) < 1
    wrong[:50] += 1
    assert share_of(wrong, values, is_rounded=True) > 1
    assert share_of(values[:1], values[1:2], is_rounded=True) <= 1


def test_words() -> None:
    values = np.array([1, 2, 300], np.float32)
    assert describe_values(values + [0, 0, 2], values, is_half=False).startswith(
        "it is float64 (3,), and float32 (3,) is wanted"
    )
    wrong = values + np.array([0, 0, 2], np.float32)
    text = describe_values(wrong, values, is_half=False)
    assert text == "1 of 3 values differ by more than 0.006, by 2 at most"
    zero = np.zeros(3, np.float32)
    assert count_bits(-zero, zero) == "3 of 3 values differ, by 0 at most"


def test_arrays_in_a_file() -> None:
    lists = [[], [noise(3), CONSTANTS], [np.zeros((0, 2), np.int8)]]
    for ours, theirs in zip(unpack_arrays(pack_arrays(lists)), lists, strict=True):
        assert [one.dtype for one in ours] == [one.dtype for one in theirs]
        assert all(np.array_equal(*pair) for pair in zip(ours, theirs, strict=True))
