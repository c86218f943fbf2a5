"""A camera in software: from the light of a scene to the 8-bit photograph of it.

What it loses is what inverse tone mapping has to bring back: light above white, the response
curve, noise, the steps of 8 bits, JPEG. The families follow Eilertsen et al., "HDR image
reconstruction from a single exposure using deep CNNs" (SIGGRAPH Asia 2017), section 4.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compile.imaging.decode_hdr import PEAK
from compile.imaging.transfer import srgb_encode

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
"""Of BT.709 primaries (ITU-R BT.709-6, item 3.2)."""

# Percentile of the picture that an exposure for the highlights puts at white.
_WHITE_PERCENTILE = (85.0, 99.5)
_SHARE_OF_HIGHLIGHT_EXPOSURES = 0.6
# The others put the log mean at middle grey, and this many stops beside it.
_MIDDLE_GREY, _STOPS = 0.18, (-1.0, 1.5)
_WHITE_BALANCE_SIGMA = 0.08
_LOG10_SHOT_NOISE, _LOG10_READ_NOISE = (-4.5, -3.0), (-7.0, -5.0)
_SHARE_OF_SRGB, _SHARE_OF_SIGMOIDS = 0.4, 0.4
_GAMMA = (1.8, 2.6)
_SHARE_OF_JPEGS, _JPEG_QUALITY = 0.4, (75, 99)
_DARKEST = 1e-6


def expose(light: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Relative light, float32 [H,W,3] in [0,16], of linear ``light`` [H,W,3] in any unit: 1 is what
    the photograph will show as white. Of the scenes here a tenth of all pixels lies above."""
    if random.random() < _SHARE_OF_HIGHLIGHT_EXPOSURES:
        white = np.percentile(light.max(-1), random.uniform(*_WHITE_PERCENTILE))
        gain = 1 / max(float(white), _DARKEST)
    else:
        gain = _MIDDLE_GREY * 2 ** random.uniform(*_STOPS) / log_mean(light)
    balance = np.exp(random.normal(0, _WHITE_BALANCE_SIGMA, 3)).astype(np.float32)
    return np.minimum(light * (gain * balance / balance[1]), PEAK).astype(np.float32)


def log_mean(light: NDArray[np.float32]) -> float:
    """Geometric mean of the luminance of linear ``light``, float32 [H,W,3], in its unit."""
    return max(float(np.exp(np.log(light @ LUMINANCE + 1e-5).mean())), _DARKEST)


def photograph(relative: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.uint8]:
    """The photograph, uint8 [H,W,3], of relative light, float32 [H,W,3], 1 = white: clipped, with
    shot and read noise, a response curve, 8 bits and, in two of five, JPEG."""
    light = np.minimum(relative, 1)
    shot, read = draw_noise(random)
    noise = random.standard_normal(light.shape, np.float32) * np.sqrt(shot * light + read)
    value = _response(np.clip(light + noise, 0, 1), random)
    pixels = np.rint(value * 255).astype(np.uint8)
    if random.random() < _SHARE_OF_JPEGS:
        pixels = through_jpeg(pixels, int(random.integers(*_JPEG_QUALITY, endpoint=True)))
    return pixels


def draw_noise(random: np.random.Generator) -> tuple[float, float]:
    """Variance of the noise for light of 1, and of what is there without light."""
    shot = 10 ** random.uniform(*_LOG10_SHOT_NOISE)
    return shot, 10 ** random.uniform(*_LOG10_READ_NOISE)


def _response(light: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """sRGB's curve, a sigmoid as measured for film and cameras, or a power."""
    family = random.random()
    if family < _SHARE_OF_SRGB:
        return srgb_encode(light)
    if family < _SHARE_OF_SRGB + _SHARE_OF_SIGMOIDS:
        # Eilertsen et al., eq. 8: (1 + s) x^n / (x^n + s), n ~ N(0.9, 0.1), s ~ N(0.6, 0.1).
        power = light ** np.float32(np.clip(random.normal(0.9, 0.1), 0.6, 1.2))
        offset = np.float32(np.clip(random.normal(0.6, 0.1), 0.3, 0.9))
        return (1 + offset) * power / (power + offset)
    return light ** np.float32(1 / random.uniform(*_GAMMA))


def through_jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """``pixels`` [H,W,3] encoded and decoded again."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=quality)
    return np.asarray(Image.open(file))
