"""HDR light for a screen without HDR: what the PNG previews show."""

from __future__ import annotations

import numpy as np

from compile.imaging.brightest_channel import brightest_channel
from compile.imaging.decode_hdr import WHITE_NITS
from compile.imaging.row_bands import row_bands
from compile.imaging.transfer import pq_decode, pq_encode, srgb_encode


def tone_map(linear: np.ndarray) -> np.ndarray:
    """An 8-bit sRGB preview, uint8 [H, W, 3], of linear relative light, float32 [H, W, 3].

    The EETF of ITU-R BT.2390 (section 5.4.1): below a knee nothing changes, above it a Hermite
    spline in PQ bends the range down so that the picture's brightest pixel just meets LDR white.
    It is applied to max(R, G, B) and the pixel is scaled by the outcome, which keeps hues. A
    picture that holds no light above LDR white is shown unchanged.
    """
    peak = max(float(linear.max()), 1.0)
    shown = np.empty(linear.shape, np.uint8)
    for rows in row_bands(*linear.shape[:2]):
        light = np.maximum(linear[rows], 0).astype(np.float32)
        nits = brightest_channel(light)[..., None] * WHITE_NITS
        scale = _eetf(nits, peak * WHITE_NITS) / np.maximum(nits, 1e-6)
        shown[rows] = to_srgb8(light * scale)
    return shown


def to_srgb8(linear: np.ndarray) -> np.ndarray:
    """Linear light as uint8 sRGB of the same shape; light above 1 is clipped."""
    return np.rint(srgb_encode(linear) * 255).astype(np.uint8)


def _eetf(nits: np.ndarray, source_peak: float) -> np.ndarray:
    """BT.2390's steps 1 to 4 for a display of 203 cd/m2 and no black lift."""
    source_code = pq_encode(np.asarray(source_peak, np.float32))
    e1 = pq_encode(nits) / source_code
    target = pq_encode(np.asarray(WHITE_NITS, np.float32)) / source_code
    knee = 1.5 * target - 0.5
    if knee >= 1:
        return nits
    t = (e1 - knee) / (1 - knee)
    square = t * t
    cube = square * t
    spline = (
        (2 * cube - 3 * square + 1) * knee
        + (cube - 2 * square + t) * (1 - knee)
        + (-2 * cube + 3 * square) * target
    )
    return pq_decode(np.where(e1 < knee, e1, spline) * source_code)
