"""max(R, G, B) and min(R, G, B) of each pixel."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.number)


def brightest_channel(light: NDArray[Number]) -> NDArray[Number]:
    """[H, W] of [H, W, 3]. NumPy's own maximum over three numbers takes ten times as long."""
    return np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])


def darkest_channel(light: NDArray[Number]) -> NDArray[Number]:
    """[H, W] of [H, W, 3], for the same reason."""
    return np.minimum(np.minimum(light[..., 0], light[..., 1]), light[..., 2])
