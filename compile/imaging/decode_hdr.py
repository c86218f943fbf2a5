"""The network's output H as linear light; the one place where the formula stands."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MU = 5000.0
PEAK = 16.0
"""Largest relative light that H can express: four stops above LDR white."""

WHITE_SLOPE = 2.4 / 1.055
"""Of the logarithm of light in sRGB's curve at white."""

CURVATURE = 0.9
"""Of the logarithm of light above white."""

SRGB_LINEAR_END = 0.04045
"""Up to this value sRGB's curve is a straight line (IEC 61966-2-1)."""

# Values that are decoded at a time: what is in between stays in the processor's cache.
_CHUNK = 1 << 15

WHITE_NITS = 203.0
"""Luminance of LDR white (relative light 1) in files: ITU-R BT.2408, HDR reference white."""

H_MAX = 1 / (1 + math.exp(-2))
"""sigmoid(2): input 1 and head 1."""


def decode_hdr(output: np.ndarray) -> np.ndarray:
    """Linear relative light, float32, of the network's output H, float32; any shape.

    The network ends in H = sigmoid(z), z = x + tanh(...), with x the photograph's value in [0, 1].
    So z lies in (-1, 2) and is read as a value of sRGB's curve, which goes on above white::

        z = ln(H / (1 - H)), clipped to [0, 2]
        L = srgb_decode(z)               up to z = 1 (IEC 61966-2-1)
        L = exp(s t + c t^2), t = z - 1  above, at most 16

    where s = 2.4 / 1.055 is the slope of ln L in sRGB's curve at 1, so that there is no edge at
    white, and c = 0.9 makes 16 of t = 0.9, before tanh is flat. A head that adds nothing is the
    photograph through the inverse of sRGB's curve, exactly.

    L lies in [0, 16]; L = 1 is LDR white, 203 cd/m2 in the files (ITU-R BT.2408). The primaries
    are those of the input, BT.709.
    """
    values = np.ascontiguousarray(output, np.float32).reshape(-1)
    light = np.empty(np.shape(output), np.float32)
    out = light.reshape(-1)
    for start in range(0, values.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        out[part] = _decode(values[part])
    return light


def _decode(output: NDArray[np.float32]) -> NDArray[np.float32]:
    h = np.clip(output, np.float32(0.5), np.float32(H_MAX))
    z = np.subtract(np.float32(1), h)
    np.divide(h, z, out=z)
    np.log(z, out=z)
    light = np.minimum(z, np.float32(1), out=h)
    light += np.float32(0.055)
    light *= np.float32(1 / 1.055)
    np.power(light, np.float32(2.4), out=light)
    # Many times as fast as to pick the values and put them back.
    is_dark = (z <= SRGB_LINEAR_END).astype(np.float32)
    light += is_dark * (z * np.float32(1 / 12.92) - light)
    if z.max(initial=0) > 1:
        t = np.maximum(z - np.float32(1), 0)
        light *= np.exp(t * (np.float32(WHITE_SLOPE) + np.float32(CURVATURE) * t))
        np.minimum(light, np.float32(PEAK), out=light)
    return light


def mu_law(linear: np.ndarray) -> np.ndarray:
    """mu-law light, float32 in [0, 1], of linear relative light L: y = log(1 + mu h) / log(1 + mu)
    with h = L / 16 and mu = 5000. Errors are measured in it.

    Kalantari and Ramamoorthi, "Deep High Dynamic Range Imaging of Dynamic Scenes" (SIGGRAPH 2017),
    eq. 3.
    """
    h = np.clip(np.asarray(linear, np.float32), 0, PEAK) / PEAK
    return (np.log1p(h * MU) / math.log1p(MU)).astype(np.float32)


def inverse_mu_law(y: np.ndarray) -> np.ndarray:
    """The linear relative light, float32 in [0, 16], of which :func:`mu_law` makes ``y``."""
    return (np.expm1(np.asarray(y) * math.log1p(MU)) * (PEAK / MU)).astype(np.float32)


def srgb_curve() -> NDArray[np.float32]:
    """float32 [256]: the H of each value of a pixel by the inverse of sRGB's curve."""
    return (1 / (1 + np.exp(-np.arange(256) / 255))).astype(np.float32)
