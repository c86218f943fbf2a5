"""Bands of rows: all of a picture, once."""

from __future__ import annotations

import numpy as np
import pytest

from compile.imaging.row_bands import row_bands


@pytest.mark.parametrize(("height", "width"), [(1, 1), (45, 67), (701, 903), (3, 100_000), (0, 5)])
def test_every_row_once(height: int, width: int) -> None:
    counts = np.zeros(height, int)
    for rows in row_bands(height, width):
        counts[rows] += 1
    assert (counts == 1).all()


def test_a_band_is_small() -> None:
    assert max(rows.stop - rows.start for rows in row_bands(6000, 8000)) * 8000 < 100_000
