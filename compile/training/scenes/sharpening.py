"""Dark rings at bright edges: what a sharpening filter leaves behind that scales light down.

Behind an edge such a filter takes the dark side below what lies around it, by some per cent of the
bright side. A sky beside the sun is black then, and a network that trains on it learns the ring.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_closing, maximum_filter

# A ring is at most two pixels wide, and begins within three of the bright side.
_RING, _REACH = (5, 5, 1), (7, 7, 1)
# Bicubic and Lanczos filters take off 7 to 10 % of an edge's height: of one of twelve to one, all
# light. Gaps in foliage are dark, too, but seldom that dark: a place counts as sharpened where they
# are as frequent as in none without such a filter (of 116 scenes, those had 7 % at most).
_BLACK_EDGE, _BLACK, _OFTEN = 12.0, 0.1, 0.08
# In a place that was sharpened, lower edges have paler rings.
_EDGE, _DARK, _UNDERSHOOT = 4.0, 0.7, 0.02
_LEAST_LIGHT = 1e-6


def find_rings(light: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where ``light``, float32 [H,W,3], is darker for a bright neighbour: bool [H,W].

    In some channel such a pixel has less than 0.7 of its surroundings without thin dark things (a
    grey closing of 5x5), lies within three pixels of something four times as bright as those, and
    lacks at least 2 % of that edge's height, or half of the surroundings. Nowhere in a place that
    was not sharpened.
    """
    around, bright = grey_closing(light, _RING), maximum_filter(light, _REACH)
    if _share_of_black(light, around, bright) < _OFTEN:
        return np.zeros(light.shape[:2], bool)
    ring = (
        (light < _DARK * around)
        & (bright > _EDGE * np.maximum(around, _LEAST_LIGHT))
        & (around - light > np.minimum(_UNDERSHOOT * (bright - around), around / 2))
    )
    return ring.any(-1)


def share_of_black_edges(light: NDArray[np.float32]) -> float:
    """How many of the values within three pixels of what is twelve times as bright as their
    surroundings have less than a tenth of these."""
    return _share_of_black(light, grey_closing(light, _RING), maximum_filter(light, _REACH))


def _share_of_black(
    light: NDArray[np.float32], around: NDArray[np.float32], bright: NDArray[np.float32]
) -> float:
    edge = bright > _BLACK_EDGE * np.maximum(around, _LEAST_LIGHT)
    return float((light < _BLACK * around)[edge].mean()) if edge.any() else 0.0
