"""The network's output H as linear light; the one place where the formula stands."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from compile.imaging.transfer import srgb_decode

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
# Bits of 0.5 and 1 as float32, and how many of the last are of no matter to a logarithm.
_HALF, _ONE, _DROPPED_BITS = 0x3F000000, 0x3F800000, 7
# Of H, of which the formula is computed. float32 is exact between them.
_PER_UNIT = 1 << 14

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
        _decode(values[part], out[part])
    return light


def _decode(output: NDArray[np.float32], light: NDArray[np.float32]) -> None:
    """Of one chunk, into ``light``: a straight line between two values of the table is within 6e-6
    of the formula, and takes two thirds of its time."""
    values, steps = _table()
    place = np.clip(output, np.float32(0.5), np.float32(H_MAX))
    place -= np.float32(0.5)
    place *= np.float32(_PER_UNIT)
    with np.errstate(invalid="ignore"):  # What is not a number stays so, by `place`.
        number = place.astype(np.intp)
    np.subtract(place, number, out=place, dtype=np.float32, casting="unsafe")
    # "clip" is never needed, and spares NumPy a copy for what would be out of range.
    place *= steps.take(number, mode="clip")
    values.take(number, out=light, mode="clip")
    light += place
    np.minimum(light, np.float32(PEAK), out=light)


@cache
def _table() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Light, not clipped to 16, of H from 0.5 to its largest in steps of 1 / ``_PER_UNIT``; and
    from each to the next."""
    h = 0.5 + np.arange(math.ceil((H_MAX - 0.5) * _PER_UNIT) + 2) / _PER_UNIT
    z = np.log(h / (1 - h))
    t = np.maximum(z - 1, 0)
    light = srgb_decode(np.minimum(z, 1)) * np.exp(t * (WHITE_SLOPE + CURVATURE * t))
    return light[:-1].astype(np.float32), np.diff(light).astype(np.float32)


def decode_log2(output: NDArray[np.float32], offset: float) -> NDArray[np.float32]:
    """log2(L + ``offset``) within 2e-4, of the light L of H in [0, 1]; of that shape. It takes a
    third of the time of :func:`decode_hdr` and a logarithm."""
    place = output.view(np.int32) - np.int32(_HALF)
    place >>= _DROPPED_BITS
    return _log2_table(offset).take(place, mode="clip")


@cache
def _log2_table(offset: float) -> NDArray[np.float32]:
    """By the upper bits of H from 0.5 to 1, which count evenly: of the middle of what they mean."""
    step = 1 << _DROPPED_BITS
    middles = np.arange(_HALF, _ONE + step, step, dtype=np.int32) + np.int32(step // 2)
    light = decode_hdr(np.minimum(middles, np.int32(_ONE)).view(np.float32))
    return np.log2(light + np.float32(offset))


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
