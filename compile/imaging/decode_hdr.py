"""The network's output H as linear light, and back; the one place where the formula stands."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from compile.imaging.transfer import srgb_decode

MU = 5000.0
PEAK = 16.0
"""Largest relative light that H can express: four stops above LDR white."""

WHITE_NITS = 203.0
"""Luminance of LDR white (relative light 1) in files: ITU-R BT.2408, HDR reference white."""

H_MIN = 1 / (1 + math.exp(1))
"""sigmoid(-1): input 0 and head -1."""

H_MAX = 1 / (1 + math.exp(-2))
"""sigmoid(2): input 1 and head 1."""


def decode_hdr(output: np.ndarray) -> np.ndarray:
    """Linear relative light, float32, of the network's output H, float32; any shape.

    The network ends in H = sigmoid(x + tanh(...)) with x in [0, 1], so H lies in
    (sigmoid(-1), sigmoid(2)) = (0.269, 0.881). With mu = 5000::

        y = (H - sigmoid(-1)) / (sigmoid(2) - sigmoid(-1)), clipped to [0, 1]
        h = ((1 + mu)^y - 1) / mu = (exp(y * log(5001)) - 1) / 5000
        L = 16 h

    h is the inverse of the mu-law y = log(1 + mu h) / log(1 + mu) of Kalantari and Ramamoorthi,
    "Deep High Dynamic Range Imaging of Dynamic Scenes" (SIGGRAPH 2017), eq. 3. L lies in
    [0, 16]; L = 1 is LDR white, 203 cd/m2 in the files (ITU-R BT.2408). The primaries are those
    of the input, BT.709.
    """
    # In place: half the time would go into memory that is new.
    light = np.empty(np.shape(output), np.float32)
    np.subtract(output, np.float32(H_MIN), out=light, dtype=np.float32)
    light /= np.float32(H_MAX - H_MIN)
    np.clip(light, 0, 1, out=light)
    light *= np.float32(math.log1p(MU))
    np.expm1(light, out=light)
    light *= np.float32(PEAK / MU)
    return light


def encode_hdr(linear: np.ndarray) -> np.ndarray:
    """The H, float32, that :func:`decode_hdr` turns into ``linear``; light is clipped to [0, 16].

    This is the target that the network is trained against, in H instead of y.
    """
    return mu_law(linear) * np.float32(H_MAX - H_MIN) + np.float32(H_MIN)


def mu_law(linear: np.ndarray) -> np.ndarray:
    """The y of :func:`decode_hdr`, float32 in [0, 1], of linear relative light."""
    h = np.clip(np.asarray(linear, np.float32), 0, PEAK) / PEAK
    return (np.log1p(h * MU) / math.log1p(MU)).astype(np.float32)


def srgb_curve() -> NDArray[np.float32]:
    """float32 [256]: the H of each value of a pixel by the inverse of sRGB's curve."""
    return encode_hdr(srgb_decode(np.arange(256) / 255))
