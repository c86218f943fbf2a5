"""Calibration crops: every photograph in every way, the same ones each time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from compile.quantize.calibration import calibration_crops


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def stripes() -> NDArray[np.uint8]:
    """Twice as wide as a crop, 16 columns bright and 16 dark by turns."""
    return np.where(np.indices((256, 512, 3))[1] % 32 < 16, 120, 60).astype(np.uint8)


def is_whole(crop: NDArray[np.uint8]) -> bool:
    """Made half as large, it has twice as many stripes."""
    row = crop[128, :, 0].astype(int)
    return np.count_nonzero(np.diff(row > (row.max() + row.min()) // 2)) > 24


def test_crops_follow_their_seed() -> None:
    photos = [noise(300, 400), noise(256, 256)]
    first, again, other = (calibration_crops(photos, seed, 5) for seed in (0, 0, 1))
    assert first.shape == (5, 256, 256, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_crops_of_small_photographs_are_reflected() -> None:
    small = noise(40, 500)
    (crop,) = calibration_crops([small], 0, 1)
    assert np.array_equal(crop[40:80], crop[39::-1])
    assert any(np.array_equal(crop[:40], small[:, left : left + 256]) for left in range(245))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_every_photograph_is_there_in_every_way(count: int) -> None:
    crops = calibration_crops([stripes()] * count, 0, 4 * count)
    for number in range(count):
        found = {
            (is_whole(crop), int(crop[..., 0].max() // 8 * 8)) for crop in crops[number::count]
        }
        assert {(False, 120), (True, 120)} < found and len(found) == 4
        # Darker than by 1.25 stops, in the curve of a photograph.
        assert min(light for _, light in found) < 120 * 2 ** (-1.25 / 2.2)
        assert [whole for whole, _ in found].count(True) == 2


def test_both_are_darker_of_some_photographs() -> None:
    crops = calibration_crops([stripes()] * 2, 0, 8)
    dark = {is_whole(crop) for crop in crops if crop.max() < 120 * 2 ** (-1.25 / 2.2)}
    assert dark == {True, False}


def test_of_many_photographs_some_are_taken_from_all() -> None:
    photos = [np.full((256, 256, 3), 10 * number, np.uint8) for number in range(1, 25)]
    crops = calibration_crops(photos, 0, 12)
    # Half of them as they are.
    kept = {int(crop.max()) // 10 for crop in crops if crop.max() % 10 == 0}
    assert len(kept) == 6 and max(kept) > 12


def test_one_channel() -> None:
    assert calibration_crops([noise(300, 600)[..., :1]], 0, 2).shape == (2, 256, 256, 1)


def test_crops_need_a_photograph() -> None:
    with pytest.raises(ValueError, match="at least one"):
        calibration_crops([], 0, 1)
