"""Light of a large picture at a quarter of its rows and columns, made part by part: what its gain
map is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compile.imaging.square_means import STEP, square_means
from compile.imaging.transfer import srgb_decode, srgb_encode

_ROWS = 64 * STEP
_SRGB = srgb_decode(np.arange(256, dtype=np.float32) / 255).astype(np.float32)


class ReducedLight:
    """The mean light of each square of :data:`STEP` by :data:`STEP` pixels, or of what of it is in
    the picture.

    Attributes:
        light: float16 [rows, columns, 3], for memory: a gain map has 8 bits.
    """

    def __init__(self, height: int, width: int) -> None:
        """Of a picture of ``height`` x ``width`` pixels, all dark."""
        self.light = np.zeros((-(-height // STEP), -(-width // STEP), 3), np.float16)

    def add(self, rows: slice, columns: slice, light: NDArray[np.float32]) -> None:
        """Take in the ``light`` of a part of the picture, [H, W, 3], that begins at multiples of
        :data:`STEP`, and ends at some or at the picture's edge."""
        reduced = square_means(light)
        top, left = rows.start // STEP, columns.start // STEP
        height, width = reduced.shape[:2]
        self.light[top : top + height, left : left + width] = reduced


def reduce_photo(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The reduced light of a photograph, uint8 [H, W, 3] with sRGB's curve, with that curve."""
    height = pixels.shape[0]
    parts = []
    for top in range(0, height, _ROWS):
        light = square_means(_SRGB[pixels[top : top + _ROWS]])
        parts.append(np.rint(srgb_encode(light) * 255).astype(np.uint8))
    return np.concatenate(parts)
