"""The mean of each square of 4x4 pixels."""

import numpy as np
import pytest

from compile.imaging.square_means import square_means


@pytest.mark.parametrize("shape", [(8, 12, 3), (9, 14, 3), (3, 1, 1), (17, 4, 2)])
def test_each_square(shape: tuple[int, int, int]) -> None:
    pixels = np.random.default_rng(0).random(shape, np.float32)
    means = square_means(pixels)
    assert means.shape == (-(-shape[0] // 4), -(-shape[1] // 4), shape[2])
    for row, column in np.ndindex(*means.shape[:2]):
        square = pixels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        np.testing.assert_allclose(means[row, column], square.mean((0, 1)), rtol=1e-6)
