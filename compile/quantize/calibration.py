"""The crops of photographs on which quantization scales are chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CROP = 256
"""Height and width of a calibration crop, unless the network's graph depends on its size."""

CROPS = 24
"""How many crops calibrate the network."""

SEED = 0
"""Where the crops are cut; fixed, so that a build can be repeated bit for bit."""

STOPS = (-4.0, 1.5)
"""Least and greatest change of exposure of the crops that are re-exposed."""

GAMMA = 2.2
"""Near enough to sRGB's curve to imitate another exposure."""


def calibration_crops(
    photos: Sequence[NDArray[np.uint8]], seed: int, n: int, size: tuple[int, int] = (CROP, CROP)
) -> NDArray[np.uint8]:
    """``n`` random crops, uint8 [n, *size, C], from photographs uint8 [H, W, C] in turn.

    A photograph that is smaller than a crop is first enlarged by reflection. Every second crop is
    re-exposed at random: bundled photographs are well exposed, and without dark crops the range of
    the channel attention's means is too small by half for a night scene (31 dB against float32 on
    the worst of 31 held-out crops, 47 dB with them, and the mean rises from 51.2 to 53.4 dB).

    Raises:
        ValueError: there is no photograph.
    """
    if not photos:
        raise ValueError("calibration needs at least one photograph")
    random = np.random.default_rng(seed)
    height, width = size
    crops = np.empty((n, height, width, photos[0].shape[2]), np.uint8)
    for index in range(n):
        photo = photos[index % len(photos)]
        missing = [max(0, a - b) for a, b in zip(size, photo.shape[:2], strict=True)]
        photo = np.pad(photo, [*((0, extra) for extra in missing), (0, 0)], mode="symmetric")
        top, left = (
            int(random.integers(a - b + 1)) for a, b in zip(photo.shape[:2], size, strict=True)
        )
        crops[index] = photo[top : top + height, left : left + width]
        if index % 2:
            crops[index] = _expose(crops[index], random.uniform(*STOPS))
    return crops


def _expose(photo: NDArray[np.uint8], stops: float) -> NDArray[np.uint8]:
    """``photo`` with 2**stops times the light, clipped: uint8 of the same shape."""
    gain = 2.0 ** (stops / GAMMA)
    return np.rint(np.minimum(photo * gain, 255)).astype(np.uint8)
