"""What a screen multiplies a picture's light by, of each channel, to show it in HDR: ISO 21496-1.

A picture of the map is in a file beside the picture for every screen, its base. A screen that can
show light of b times its white shows::

    (base + OFFSET) * 2^(w * log2_gain) - OFFSET,  w = log2(b) / headroom, in [0, 1]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compile.imaging.brightest_channel import brightest_channel

OFFSET = 1 / 64
"""Added to both sides of the ratio, so that it is finite in the dark: as Adobe's specification and
libultrahdr choose it."""

_LEVELS = 255
# Of the channels' light what a screen has to reach, so that a single bright pixel does not make all
# of a picture darker on a screen that does not.
_PERCENTILE = 99.9
_LEAST_STOPS = 1 / 8


@dataclass(frozen=True)
class GainMap:
    """Of a picture of H x W pixels.

    Attributes:
        codes: uint8 [H, W, 3]: 0 is ``low`` and 255 is ``high``.
        low, high: log2 of gains. They are of all channels: libultrahdr reads no others from XMP.
        headroom: log2 of the light, in whites, with which a screen shows the whole effect.
    """

    codes: NDArray[np.uint8]
    low: float
    high: float
    headroom: float


def make_gain_map(linear: NDArray[np.floating], base: NDArray[np.floating]) -> GainMap:
    """Make the map that leads from ``base`` to ``linear``, relative light float32 [H, W, 3] of the
    same primaries, 1 = white."""
    light = np.maximum(linear, 0)
    gains = np.log2((light + OFFSET) / (np.maximum(base, 0) + OFFSET))
    low = float(gains.min())
    # A picture that has one gain needs a range, too.
    high = max(float(gains.max()), low + _LEAST_STOPS)
    codes = np.rint((gains - low) / (high - low) * _LEVELS).astype(np.uint8)
    brightest = float(np.percentile(brightest_channel(light), _PERCENTILE))
    headroom = max(_LEAST_STOPS, float(np.log2(max(brightest, 1.0))))
    return GainMap(codes, low, high, headroom)
