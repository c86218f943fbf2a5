"""What a screen multiplies a picture's light by, of each channel, to show it in HDR: ISO 21496-1.

A picture of the map is in a file beside the picture for every screen, its base. A screen that can
show light of b times its white shows::

    (base + OFFSET) * 2^(w * log2_gain) - OFFSET,  w = log2(b) / headroom, in [0, 1]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compile.imaging.brightest_channel import brightest_channel
from compile.imaging.transfer import srgb_decode

OFFSET = 1 / 64
"""Added to both sides of the ratio, so that it is finite in the dark: as Adobe's specification and
libultrahdr choose it."""

_LEVELS = 255
# Of the channels' light what a screen has to reach, so that a single bright pixel does not make all
# of a picture darker on a screen that does not.
_PERCENTILE = 99.9
_LEAST_STOPS = 1 / 8
# A sample of the pixels, and which of it is bright: ten times as many as lie above the percentile.
_SAMPLE_STEP, _SAMPLE_SHARE = 61, 100
_BLOCK_VALUES = 1 << 17
_LOG2_BASE = np.log2(srgb_decode(np.arange(256) / 255) + OFFSET).astype(np.float32)


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


def make_gain_map(linear: NDArray[np.floating], base: NDArray[np.uint8]) -> GainMap:
    """Make the map that leads from ``base``, uint8 [H, W, 3] with sRGB's curve, to ``linear``,
    relative light float32 [H, W, 3] of the same primaries, 1 = white."""

    def log2_of(rows: slice) -> NDArray[np.float32]:
        light = np.maximum(linear[rows], np.float32(0))
        light += np.float32(OFFSET)
        return np.log2(light, out=light)

    return gain_map_of_logs(log2_of, base)


def gain_map_of_logs(
    log2_of: Callable[[slice], NDArray[np.float32]], base: NDArray[np.uint8]
) -> GainMap:
    """Make a map as :func:`make_gain_map` does, of light that is there as its logarithm.

    Args:
        log2_of: of rows of the picture, log2(light + OFFSET), float32 [rows, W, 3].
    """
    gains = np.empty(base.shape, np.float32)
    brightest = np.empty(base.shape[:2], np.float32)
    of_base = np.empty_like(gains[next(_blocks(base))])
    lows, highs = [], []
    for rows in _blocks(base):
        logs, own = log2_of(rows), gains[rows]
        brightest[rows] = brightest_channel(logs)
        # "clip" is never needed, and spares NumPy a copy for what would be out of range.
        np.take(_LOG2_BASE, base[rows], out=of_base[: len(own)], mode="clip")
        np.subtract(logs, of_base[: len(own)], out=own)
        lows.append(own.min())
        highs.append(own.max())
    low = float(min(lows))
    # A picture that has one gain needs a range, too.
    high = max(float(max(highs)), low + _LEAST_STOPS)
    codes = np.empty(base.shape, np.uint8)
    per_log2 = _LEVELS / (high - low)
    for rows in _blocks(base):
        own = gains[rows]
        own *= np.float32(per_log2)
        own += np.float32(0.5 - low * per_log2)  # To be cut off, not rounded: a step less.
        codes[rows] = own
    bright = 2 ** _percentile(brightest) - OFFSET
    headroom = max(_LEAST_STOPS, math.log2(max(bright, 1.0)))
    return GainMap(codes, low, high, headroom)


def _blocks(base: NDArray[np.uint8]) -> Iterator[slice]:
    """Rows that stay in a core's cache from one step to the next: half the time of all at once."""
    rows = max(1, _BLOCK_VALUES // (3 * base.shape[1]))
    return (slice(first, first + rows) for first in range(0, base.shape[0], rows))


def _percentile(brightest: NDArray[np.float32]) -> float:
    """The value that all but one pixel in a thousand stay below.

    In order are put only pixels that are bright by a sample of them, where those are enough: to
    count all takes as long as the gains.
    """
    values = brightest.ravel()
    from_top = values.size - math.ceil(_PERCENTILE / 100 * values.size) + 1
    sample = values[::_SAMPLE_STEP]
    bright = values[values >= _from_top(sample, 1 + sample.size // _SAMPLE_SHARE)]
    return float(_from_top(bright if bright.size >= from_top else values, from_top))


def _from_top(values: NDArray[np.float32], count: int) -> np.float32:
    """The smallest of the ``count`` largest."""
    place = values.size - count
    return np.partition(values, place)[place]
