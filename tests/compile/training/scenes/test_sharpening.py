"""Rings that a sharpening filter leaves at bright edges, and what looks like them and is none."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, grey_closing

from compile.training.scenes.sharpening import find_rings, share_of_black_edges


def lamps(size: int = 1024) -> np.ndarray:
    """Round lamps of 50 before a wall of 0.2 to 0.6, float32 [size,size]."""
    rows, columns = np.indices((size, size), np.float32)
    wall = 0.2 + 0.4 * columns / size
    step = size // 8
    near = np.hypot(rows % step - step / 2, columns % step - step / 2)
    return np.where(near < step / 6, 50, wall).astype(np.float32)


def scaled(light: np.ndarray, filter_: Image.Resampling) -> np.ndarray:
    """To a quarter of its size, [H,W,3], by a filter; what is negative becomes zero."""
    small = Image.fromarray(light).resize((light.shape[1] // 4,) * 2, filter_)
    return np.repeat(np.maximum(np.asarray(small), 0)[..., None], 3, -1)


@pytest.mark.parametrize("sharpening", [Image.Resampling.LANCZOS, Image.Resampling.BICUBIC])
def test_rings_of_a_sharpening_filter_are_found(sharpening: Image.Resampling):
    light, truth = lamps(), scaled(lamps(), Image.Resampling.BOX)
    made = scaled(light, sharpening)
    rings = find_rings(made)
    darkened = (made < 0.6 * truth).any(-1)
    assert darkened.mean() > 0.02
    assert rings[darkened].mean() > 0.9
    assert (rings & ~(made < truth - 1e-3).any(-1)).mean() < 0.002


def test_a_plain_edge_has_none():
    for light in (
        scaled(lamps(), Image.Resampling.BOX),
        gaussian_filter(scaled(lamps(), Image.Resampling.BOX), (1, 1, 0)),
    ):
        assert share_of_black_edges(light) == 0
        assert not find_rings(light).any()


def test_dark_gaps_of_foliage_are_none():
    """They are thin and beside what is far brighter, and few of them are black."""
    random = np.random.default_rng(0)
    leaves = np.where(
        random.random((128, 128, 1)) < 0.05, 8, random.uniform(0.1, 0.6, (128, 128, 1))
    )
    light = leaves.repeat(3, -1).astype(np.float32)
    assert (light < 0.6 * grey_closing(light, (5, 5, 1))).mean() > 0.1
    assert not find_rings(light).any()
    assert not find_rings(np.zeros((16, 16, 3), np.float32)).any()
