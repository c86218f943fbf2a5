"""How near two pictures are."""

from __future__ import annotations

import math

import numpy as np


def psnr(a: np.ndarray, b: np.ndarray, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB of two arrays of one shape; infinite if they are equal.

    ``10 log10(peak^2 / mean((a - b)^2))`` (ITU-T J.340, section 6), in float64.

    Raises:
        ValueError: the shapes differ (broadcasting would hide a mistake).
    """
    if a.shape != b.shape:
        raise ValueError(f"cannot compare shapes {a.shape} and {b.shape}")
    error = np.mean(np.square(np.subtract(a, b, dtype=np.float64)))
    return math.inf if error == 0 else float(10 * math.log10(peak**2 / error))
