"""What a network has to beat: ways from a photograph to light that learn nothing from it.

Each takes a photograph, uint8 [H,W,3], and gives relative light, float32 of the same shape. The
tone curve is fitted on the training scenes, and so are the parameters of the two classical
operators: their defaults are what `python bench/quality/fit_tone_mappers.py` found. One that learns
a curve for each photograph is in :mod:`bench.quality.histogram_curve`; what players do is in
:mod:`bench.quality.inverse_tone_mappers`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from skimage.restoration import denoise_bilateral

from bench.quality.histogram_curve import apply_histogram_curve
from bench.quality.inverse_tone_mappers import (
    expand_by_bt2446_a,
    expand_by_bt2446_c,
    expand_by_libplacebo,
)
from compile.imaging.decode_hdr import PEAK
from compile.imaging.transfer import srgb_decode
from compile.training.held_out import tone_curve
from compile.training.virtual_camera import LUMINANCE

Photo = NDArray[np.uint8]
Light = NDArray[np.float32]

_DARKEST = 1e-6


def linearize(photo: Photo) -> Light:
    """The inverse of sRGB's curve: nothing is brighter than white."""
    return srgb_decode(photo / 255).astype(np.float32)


def apply_tone_curve(photo: Photo) -> Light:
    """The best of all global curves, fitted on the training scenes."""
    return tone_curve()[photo]


def stretch(photo: Photo, gamma: float = 1.0, peak: float = 1.0) -> Light:
    """Akyüz et al., "Do HDR displays support LDR content? A psychophysical evaluation" (SIGGRAPH
    2007), eq. 1: the luminance stretched to ``peak ((Y - Ymin) / (Ymax - Ymin))^gamma``."""
    linear = linearize(photo)
    luminance = linear @ LUMINANCE
    low, high = luminance.min(), luminance.max()
    share = (luminance - low) / max(high - low, _DARKEST)
    gain = peak * share**gamma / np.maximum(luminance, _DARKEST)
    return np.clip(linear * gain[..., None], 0, PEAK).astype(np.float32)


def enhance_brightness(photo: Photo, boost: float = 1.5, bright: float = 250) -> Light:
    """After Kovaleski and Oliveira, "High-Quality Reverse Tone Mapping for a Wide Range of
    Exposures" (SIBGRAPI 2014): light is boosted where an edge-aware map says that a bright area is.

    The map is the blurred mask of bright pixels, weighted by how bright a bilateral filter finds
    the pixel; simplified from the paper's bilateral grid.
    """
    brightest = photo.max(-1) / 255
    smooth = denoise_bilateral(brightest, win_size=9, sigma_color=0.15, sigma_spatial=4)
    area = uniform_filter((brightest > bright / 255).astype(np.float64), 25)
    share = area * np.exp(-(((smooth - 1) / 0.12) ** 2))
    gain = 1 + (boost - 1) * share
    return np.clip(linearize(photo) * gain[..., None], 0, PEAK).astype(np.float32)


TONE_MAPPERS: dict[str, Callable[[Photo], Light]] = {
    "srgb": linearize,
    "tone-curve": apply_tone_curve,
    "histogram-curve": apply_histogram_curve,
    "akyuz": stretch,
    "kovaleski": enhance_brightness,
    "bt2446-a": expand_by_bt2446_a,
    "bt2446-c": expand_by_bt2446_c,
    "libplacebo": expand_by_libplacebo,
}
