"""How bright a clip is: what HDR10 says of it in two static messages (SMPTE ST 2086, CTA-861.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.video.light_kernel import LARGEST, MEAN, SMALLEST

#: x and y of red, green, blue and white.
Chromaticities = tuple[float, float, float, float, float, float, float, float]

_MOST, _LEAST_NITS = 0xFFFF, 0.0001


@dataclass(frozen=True)
class LightLevels:
    """Of a whole clip.

    Attributes:
        max_cll, max_fall: cd/m2: the largest max(R, G, B) of a pixel, and the largest mean of it
            over a frame.
        largest, smallest: cd/m2: of the display that shows all of it. White of that much has as
            much in each channel, so that it is the brightest pixel's largest channel.
        primaries: of that display: the clip's own.
    """

    max_cll: int
    max_fall: int
    largest: float
    smallest: float
    primaries: Chromaticities

    def as_json(self) -> dict[str, Any]:
        """Part of the summary of ``--json``."""
        return {
            "max_cll": self.max_cll,
            "max_fall": self.max_fall,
            "mastering_display": {
                "primaries": list(self.primaries[:6]),
                "white": list(self.primaries[6:]),
                "min_luminance": self.smallest,
                "max_luminance": self.largest,
            },
        }


class LevelMeter:
    """Adds up what the frames of a clip are, from their rows' levels."""

    def __init__(self, primaries: Chromaticities) -> None:
        self._primaries = primaries
        self._largest, self._smallest, self._mean = 0.0, float("inf"), 0.0

    def add(self, rows: NDArray[np.float32]) -> None:
        """Count a frame by its ``rows``, float32 [H, 3], as the kernel gives them."""
        self._largest = max(self._largest, float(rows[:, LARGEST].max()))
        self._smallest = min(self._smallest, float(rows[:, SMALLEST].min()))
        self._mean = max(self._mean, float(rows[:, MEAN].mean(dtype=np.float64)))

    def levels(self) -> LightLevels:
        """Of all frames so far."""
        # 1 at least: 0 means that nothing is known.
        most, mean = (int(np.clip(round(one), 1, _MOST)) for one in (self._largest, self._mean))
        # In the steps that the messages have, of 0.0001 cd/m2; the largest is whole.
        smallest = max(_LEAST_NITS, min(round(self._smallest, 4), most / 2))
        return LightLevels(most, mean, float(most), smallest, self._primaries)
