"""as_requantization: a table of 256 bytes that one multiplication computes, and no other."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from compile.graph.linear_table import as_requantization


def table_of(
    smallest: int, centre: int, multiplier: np.float32, zero_point: int, low: int, high: int
) -> NDArray[np.int8]:
    twice = 2 * np.arange(smallest, smallest + 256) - centre
    rounded = np.rint(twice.astype(np.float32) * multiplier) + zero_point
    return np.clip(rounded, low, high).astype(np.int8)


# One value between the limits, on a line whose slope is rounding noise.
@example(smallest=-128, offset=100, multiplier=0.015625, zero_point=2, limits=[0, 2])
@given(
    smallest=st.sampled_from([-128, 0]),
    offset=st.integers(0, 510),
    multiplier=st.floats(0.015625, 8, width=32),
    zero_point=st.integers(-128, 127),
    limits=st.tuples(st.integers(-128, 127), st.integers(-128, 127)).map(sorted),
)
def test_what_it_finds_gives_the_table(
    smallest: int, offset: int, multiplier: float, zero_point: int, limits: list[int]
) -> None:
    centre = 2 * smallest + offset
    table = table_of(smallest, centre, np.float32(multiplier), zero_point, *limits)
    found = as_requantization(table, smallest, zero_point)
    if found is not None:
        again = (smallest, found.centre, found.multiplier, zero_point, found.low, found.high)
        np.testing.assert_array_equal(table_of(*again), table)


@given(scale=st.floats(0.3125, 1.375, width=32), zero_point=st.integers(-128, 127))
def test_it_finds_changes_of_scale(scale: float, zero_point: int) -> None:
    """A byte scaled by about one, around its own zero or its middle."""
    for centre in (0, 255):
        table = table_of(0, centre, np.float32(scale / 2), zero_point, -128, 127)
        inside = np.unique(table)
        if len(inside) > 100:
            assert as_requantization(table, 0, zero_point) is not None


def test_other_functions_stay_tables() -> None:
    x = np.arange(-128, 128) / 16
    sigmoid = np.rint(256 / (1 + np.exp(-x)) - 128).clip(-128, 127).astype(np.int8)
    assert as_requantization(sigmoid, -128, -128) is None
    falling = -np.arange(-127, 129).clip(-127, 127).astype(np.int8)
    assert as_requantization(falling, -128, 0) is None
    assert as_requantization(np.full(256, 5, np.int8), -128, 0) is None
    bent = np.arange(-128, 128).astype(np.int8)
    bent[200] += 1
    assert as_requantization(bent, -128, 0) is None


def test_a_line_that_is_flat_but_for_rounding_is_no_change_of_scale() -> None:
    """It crosses the zero point farther away than an integer of 64 bits reaches."""
    table = np.full(256, 1, np.int8)
    table[0], table[255], table[127:129] = -5, 9, 6
    assert as_requantization(table, -128, 0) is None
