"""The inverse of the decoding formula: a network's output that means given light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compile.imaging.decode_hdr import CURVATURE, PEAK, WHITE_SLOPE
from compile.imaging.transfer import srgb_encode


def encode_hdr(linear: np.ndarray) -> NDArray[np.float32]:
    """The H, of any shape, that :func:`compile.imaging.decode_hdr.decode_hdr` turns into
    ``linear``; light is clipped to [0, 16]."""
    light = np.clip(np.asarray(linear, np.float64), 0, PEAK)
    log_light = np.log(np.maximum(light, 1))
    t = (np.sqrt(WHITE_SLOPE**2 + 4 * CURVATURE * log_light) - WHITE_SLOPE) / (2 * CURVATURE)
    z = np.where(light > 1, 1 + t, srgb_encode(light))
    return (1 / (1 + np.exp(-z))).astype(np.float32)
