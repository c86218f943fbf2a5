"""How much the dB depend on the photographs that scales are chosen on."""

from __future__ import annotations

import math

import pytest

from compile.precision.vary_calibration import (
    CalibrationRow,
    choices_of,
    plan_choices,
    why_too_few,
)


@pytest.mark.parametrize(("count", "size", "most"), [(6, 6, 6), (6, 1, 9), (3, 2, 5), (1, 1, 4)])
def test_choices(count: int, size: int, most: int):
    found = choices_of(count, size, most)
    assert found[0] == tuple(range(size))
    assert len({*found}) == len(found) == min(most, math.perm(count, size))
    assert all(len({*one}) == size and {*one} <= {*range(count)} for one in found)
    assert choices_of(count, size, most) == found


def test_a_plan_doubles():
    assert sorted({len(one) for one in plan_choices(12, 2)}) == [1, 2, 4, 8, 12]
    assert [len(one) for one in plan_choices(4, 2)] == [1, 1, 2, 2, 4, 4]
    assert plan_choices(1, 3) == [(0,)]


def test_too_few():
    def row(photographs: int, least: float, most: float) -> CalibrationRow:
        return CalibrationRow(photographs, 4, (least + most) / 2, least, most, least)

    few, many = row(2, 40.0, 48.0), row(12, 50.0, 50.9)
    assert why_too_few([few, many]) == ""
    assert "2 photographs are too few" in why_too_few([few])
    assert "differ by 8.0 dB" in why_too_few([row(1, 1.0, 2.0), few])
