"""The curve of a photograph as its histogram tells it: how near a picture comes to its light by one
curve that is chosen for it, and by nothing of where its pixels are.

A small network makes the curve; ``python bench/quality/fit_histogram_curve.py`` has trained it on
pictures like those that MQNet is trained on.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from compile.imaging.brightest_channel import brightest_channel, darkest_channel
from compile.imaging.decode_hdr import inverse_mu_law, mu_law
from compile.imaging.transfer import srgb_decode

WEIGHTS = Path(__file__).with_suffix(".safetensors")

KNOTS = 64
"""Values of the curve, each of four neighbouring values of a pixel."""

STEP = 256 // KNOTS
# What nearly white and nearly black pixels are, a picture's clipped ones above all.
_ENDS = ((255, 255), (250, 255), (0, 0), (0, 2))
FEATURES = 5 * KNOTS + len(_ENDS)

SCALE = 0.3
"""Of what the network gives, in mu-law light."""


def histogram_features(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Roots of shares of the pixels of a photograph, uint8 [H,W,3], float32 [324]: by each channel,
    the largest and the smallest one, and of values at the ends."""
    channels = [photo[..., channel] for channel in range(3)]
    planes = [*channels, brightest_channel(photo), darkest_channel(photo)]
    shares = [np.bincount(plane.ravel() // STEP, minlength=KNOTS) / plane.size for plane in planes]
    ends = [((photo >= low) & (photo <= high)).mean() for low, high in _ENDS]
    return np.sqrt(np.concatenate([*shares, ends])).astype(np.float32)


def plain_curve() -> NDArray[np.float32]:
    """mu-law light of each value of a pixel by the inverse of sRGB's curve, float32 [256]."""
    return mu_law(srgb_decode(np.arange(256) / 255))


def apply_histogram_curve(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Relative light, float32 [H,W,3], of a photograph, uint8 [H,W,3], by the curve that its
    histogram tells; a curve that would fall somewhere is level there."""
    x = histogram_features(photo)
    layers = _layers()
    for number, (weight, bias) in enumerate(layers, 1):
        x = weight @ x + bias
        if number < len(layers):
            x = np.maximum(x, 0)
    middles = np.arange(KNOTS) * STEP + (STEP - 1) / 2
    curve = plain_curve() + SCALE * np.interp(np.arange(256), middles, x)
    return inverse_mu_law(np.maximum.accumulate(curve).clip(0, 1))[photo]


@cache
def _layers() -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    tensors = {name: one.astype(np.float32) for name, one in load_file(WEIGHTS).items()}
    count = len(tensors) // 2
    return [(tensors[f"{n}.weight"], tensors[f"{n}.bias"]) for n in range(count)]
