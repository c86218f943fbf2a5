"""The light of a large picture in small, whatever parts it comes in."""

from __future__ import annotations

import numpy as np

from compile.imaging.reduced_light import ReducedLight, reduce_photo
from compile.imaging.square_means import STEP
from compile.imaging.transfer import srgb_decode


def test_means_of_squares_and_of_what_is_left_at_the_edges() -> None:
    light = np.random.default_rng(0).uniform(0, 16, (22, 35, 3)).astype(np.float32)
    reduced = ReducedLight(22, 35)
    for rows in (slice(0, 12), slice(12, 22)):
        for columns in (slice(0, 8), slice(8, 35)):
            reduced.add(rows, columns, light[rows, columns])
    assert reduced.light.shape == (6, 9, 3)
    for row, column in ((0, 0), (2, 5), (5, 1), (3, 8), (5, 8)):
        square = light[row * STEP : row * STEP + STEP, column * STEP : column * STEP + STEP]
        expected = square.mean((0, 1), np.float64)
        np.testing.assert_allclose(reduced.light[row, column], expected, rtol=1e-3)


def test_a_photograph_by_srgbs_curve() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (600, 41, 3)).astype(np.uint8)
    whole = ReducedLight(600, 41)
    whole.add(slice(0, 600), slice(0, 41), srgb_decode(pixels / 255))
    reduced = srgb_decode(reduce_photo(pixels) / 255)
    np.testing.assert_allclose(reduced, whole.light, rtol=0.03)
