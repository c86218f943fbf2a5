"""Tiles: every pixel is owned once, far enough from what a tile does not know."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from device.runtime.tile_grid import spans, tiles

_STRIDE = 8


@given(st.integers(0, 3), st.integers(1, 5), st.integers(0, 40))
def test_spans_cover_all(halo: int, more: int, beyond: int) -> None:
    halo, size = halo * _STRIDE, (2 * halo + more) * _STRIDE
    extent = size + beyond * _STRIDE
    found = spans(extent, size, halo)
    assert [span.first for span in found] == [0, *(span.end for span in found[:-1])]
    assert found[-1].end == extent
    for span in found:
        assert 0 <= span.start <= span.first < span.end <= span.start + size <= extent
        assert span.start % _STRIDE == span.first % _STRIDE == span.end % _STRIDE == 0
        # Where the tile ends inside of the picture, its own part ends a halo before.
        assert span.start == 0 or span.first - span.start >= halo
        assert span.start + size == extent or span.start + size - span.end >= halo
    least = 1 + max(0, -(-(extent - size) // (size - 2 * halo)))
    assert len(found) == least


def test_tiles_own_each_pixel_once() -> None:
    owners = np.zeros((48, 80), int)
    for tile in tiles((48, 80), (32, 32), 8):
        owners[tile.rows.first : tile.rows.end, tile.columns.first : tile.columns.end] += 1
    assert (owners == 1).all()
