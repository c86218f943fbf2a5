"""Pictures that are stored turned or mirrored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def turn_upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn ``pixels`` [H, W, ...] as Exif 2.32, tag 0112, says; an unknown value leaves them."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.require(pixels, requirements=["C", "W"])
