"""max(R, G, B) and min(R, G, B) of each pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def brightest_channel(light: NDArray[np.floating]) -> NDArray[np.floating]:
    """[H, W] of [H, W, 3]. NumPy's own maximum over three numbers takes ten times as long."""
    return np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])


def darkest_channel(light: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[H, W] of [H, W, 3], for the same reason."""
    return np.minimum(np.minimum(light[..., 0], light[..., 1]), light[..., 2])
