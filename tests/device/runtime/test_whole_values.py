"""What is added up tile by tile is what a kernel makes of the whole feature map."""

from __future__ import annotations

import numpy as np
import pytest

from compile.artefact.stage_facts import WholeValue
from device.runtime.whole_values import total_for

RANDOM = np.random.default_rng(0)


def parts_of(values: np.ndarray) -> list[np.ndarray]:
    """Four of them, of different sizes and not contiguous."""
    return [values[:9, :5], values[:9, 5:], values[9:, :30], values[9:, 30:]]


def test_integer_mean_is_the_kernels_rounding() -> None:
    data = RANDOM.integers(-128, 128, (21, 34, 6)).astype(np.int8)
    facts = WholeValue("integer mean", "x", (1, 1, 1, 6), 0.37, 5, 0.011, -7, -20, 90)
    total = total_for(facts)
    for part in parts_of(data):
        total.add(part)
    (means,) = total.values()
    sums = data.astype(np.int64).sum((0, 1)) - 5 * 21 * 34
    scale = np.float64(np.float32(0.011)) * (21 * 34)
    multiplier = np.float32(np.float64(np.float32(0.37)) / scale)
    expected = np.clip(np.rint(sums.astype(np.float32) * multiplier) - 7, -20, 90)
    np.testing.assert_array_equal(means.ravel(), expected)
    assert means.dtype == np.int8 and means.shape == (1, 1, 1, 6)


def test_integer_mean_of_more_pixels_than_an_int32_holds() -> None:
    """17 million bytes of -128: their sum is below what an int32 holds."""
    total = total_for(WholeValue("integer mean", "x", (1, 1, 1, 1), 0.5, 0, 0.5, 0))
    part = np.full((2048, 2100, 1), -128, np.int8)
    for _ in range(4):
        total.add(part)
    assert total.values()[0].item() == -128


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_norm_of_a_picture(offset: float) -> None:
    """Also where a picture has nearly one colour: no squares that cancel."""
    data = (RANDOM.normal(0, 0.25, (21, 34, 3)) + offset).astype(np.float32)
    gamma, beta = (2.0, -1.0, 0.5), (0.25, 0.0, -3.0)
    total = total_for(WholeValue("norm", "x", (1, 1, 1, 3), gamma=gamma, beta=beta, epsilon=1e-3))
    for part in parts_of(data):
        total.add(part)
    scale, shift = total.values()
    exact = data.astype(np.float64)
    expected = np.array(gamma) / np.sqrt(exact.var((0, 1)) + 1e-3)
    np.testing.assert_allclose(scale.ravel(), expected, rtol=1e-5)
    expected_shift = np.array(beta) - exact.mean((0, 1)) * expected
    np.testing.assert_allclose(shift.ravel(), expected_shift, rtol=1e-5)


def test_float_mean() -> None:
    data = RANDOM.normal(3, 1, (21, 34, 2)).astype(np.float32)
    total = total_for(WholeValue("mean", "x", (1, 2), dtype="float32"))
    for part in parts_of(data):
        total.add(part)
    np.testing.assert_allclose(total.values()[0], data.mean((0, 1), np.float64)[None], rtol=1e-6)
