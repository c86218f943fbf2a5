"""Pictures that are turned."""

from __future__ import annotations

import numpy as np
import pytest

from compile.imaging.orientation import turn_left


@pytest.mark.parametrize("times", [-1, 0, 1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 1, 1), (33, 70, 3), (64, 31, 4)])
def test_turned_as_by_numpy(shape: tuple[int, int, int], times: int) -> None:
    picture = np.random.default_rng(1).random(shape, np.float32)[:, ::-1]
    turned = turn_left(picture, times)
    np.testing.assert_array_equal(turned, np.rot90(picture, times))
    assert turned.flags.c_contiguous
