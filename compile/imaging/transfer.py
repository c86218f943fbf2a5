"""Transfer functions: sRGB for the screen, PQ and HLG for HDR files. Elementwise, any shape, but
for the light of a display."""

from __future__ import annotations

import numpy as np

PQ_PEAK_NITS = 10_000.0
HLG_PEAK_NITS = 1000.0
"""Of the display that ITU-R BT.2100 names, for which gamma is 1.2."""

# ITU-R BT.2100-2, table 5
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_HLG_GAMMA = 1.2
BT2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
"""Of red, green and blue (ITU-R BT.2020, table 4)."""

# SMPTE ST 2084:2014, section 5.3
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def srgb_encode(linear: np.ndarray) -> np.ndarray:
    """sRGB value in [0, 1] of linear light, clipped to [0, 1] (IEC 61966-2-1)."""
    light = np.clip(linear, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def srgb_decode(value: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] of an sRGB value in [0, 1] (IEC 61966-2-1)."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def pq_encode(nits: np.ndarray) -> np.ndarray:
    """PQ value in [0, 1] of a luminance in cd/m2, clipped to [0, 10000].

    SMPTE ST 2084:2014, eq. 5.2, the inverse EOTF, with Y = nits / 10000::

        N = ((c1 + c2 Y^m1) / (1 + c3 Y^m1))^m2
    """
    power = (np.clip(nits, 0, PQ_PEAK_NITS) / PQ_PEAK_NITS) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def pq_decode(value: np.ndarray) -> np.ndarray:
    """Luminance in cd/m2 of a PQ value in [0, 1] (SMPTE ST 2084:2014, eq. 4.1, the EOTF)."""
    root = np.clip(value, 0, 1) ** (1 / _M2)
    return PQ_PEAK_NITS * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def hlg_decode(value: np.ndarray) -> np.ndarray:
    """Scene light in [0, 1] of an HLG value in [0, 1] (ITU-R BT.2100-2, table 5)."""
    return np.where(value <= 0.5, value**2 / 3, (np.exp((value - _C) / _A) + _B) / 12)


def hlg_encode(nits: np.ndarray) -> np.ndarray:
    """HLG value in [0, 1] of the light of a display of 1000 cd/m2, [..., 3] in BT.2020; what is
    brighter is clipped.

    ITU-R BT.2100-2, table 5, backwards: the scene's light E of the display's F by the OOTF,
    F = Lw Y^(gamma - 1) E with Y the luminance of E, and of that the OETF.
    """
    light = np.clip(nits, 0, HLG_PEAK_NITS) / HLG_PEAK_NITS
    luminance = np.maximum(light @ BT2020_LUMINANCE, 1e-9)[..., None]
    scene = np.clip(light * luminance ** (1 / _HLG_GAMMA - 1), 0, 1)
    bright = _A * np.log(np.maximum(12 * scene - _B, 1e-9)) + _C
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)
