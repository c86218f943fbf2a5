"""What is made of times: percentiles, intervals, and when to doubt them."""

from __future__ import annotations

import numpy as np
import pytest

from bench.session.statistics import flags_of_times, percentile_ms, ratio_interval


def visits(median: float, spread: float, count: int = 12, seed: int = 0) -> list[list[float]]:
    """``count`` visits of 4 frames, normally distributed."""
    random = np.random.default_rng(seed)
    return (median * (1 + spread * random.standard_normal((count, 4)))).tolist()


def test_percentiles_are_over_all_frames_in_milliseconds():
    assert percentile_ms([[0.001, 0.002], [0.003]], 50) == pytest.approx(2)
    assert percentile_ms([[0.001, 0.002], [0.003]], 0) == pytest.approx(1)
    assert percentile_ms([[0.001] * 9, [0.011]], 90) == pytest.approx(2)


def test_the_interval_holds_the_ratio_and_narrows_with_more_visits():
    wide = ratio_interval(visits(0.01, 0.05), visits(0.02, 0.05, seed=1))
    narrow = ratio_interval(visits(0.01, 0.05, 200), visits(0.02, 0.05, 200, seed=1))
    for low, high in (wide, narrow):
        assert low < 2 < high
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 2


def test_the_interval_of_constant_times_is_a_point():
    assert ratio_interval([[0.01] * 3] * 4, [[0.015] * 3] * 4) == pytest.approx((1.5, 1.5))


def test_frames_of_one_visit_count_as_one():
    """Two states of a machine, one per visit: resampled by frames they would look certain."""
    two_states = [[0.01] * 50, [0.02] * 50]
    low, high = ratio_interval([[0.01] * 50] * 2, two_states)
    assert (low, high) == pytest.approx((1, 2))


def test_good_times_have_no_flag():
    assert flags_of_times(visits(0.01, 0.02)) == []


@pytest.mark.parametrize(
    ("times", "flag"),
    [
        (visits(0.01, 0.02, 4), "only 16 frames"),
        (visits(0.01, 0.2), "spread"),
        ([[0.01 * (1 + 0.02 * index)] * 4 for index in range(12)], "slowed down by 16%"),
    ],
)
def test_flags(times: list[list[float]], flag: str):
    assert any(flag in found for found in flags_of_times(times))


def test_a_frame_in_which_the_device_was_stopped():
    visits = [[0.01] * 5 for _ in range(10)]
    assert flags_of_times(visits) == []
    visits[4][2] = 60.0
    assert flags_of_times(visits) == ["stood still for 60 s in a frame"]
