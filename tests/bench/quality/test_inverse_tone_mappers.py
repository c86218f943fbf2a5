"""The players' operators by their authors' numbers: greys, then what must hold for colours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from bench.quality.inverse_tone_mappers import (
    expand_by_bt2446_a,
    expand_by_bt2446_c,
    expand_by_libplacebo,
)
from compile.imaging.bundled import bundled_photos
from compile.imaging.decode_hdr import WHITE_NITS
from compile.imaging.read_photo import read_photo
from compile.imaging.transfer import srgb_decode
from compile.training.virtual_camera import LUMINANCE

OPERATORS = (expand_by_bt2446_a, expand_by_bt2446_c, expand_by_libplacebo)
operators = pytest.mark.parametrize("operator", OPERATORS, ids=lambda one: one.__name__)
GREYS = np.array([1, 12, 64, 128, 200, 255], np.uint8)


def grey_nits(operator) -> np.ndarray:
    light = operator(np.repeat(GREYS[None, :, None], 3, axis=2))[0] * WHITE_NITS
    np.testing.assert_allclose(light, light[:, :1].repeat(3, 1), rtol=2e-4, atol=1e-6)
    return light[:, 1]


def test_method_a() -> None:
    """``bt2446a_inv`` of libplacebo's tone_mapping.c, compiled by itself."""
    expected = [0.05206, 1.00772, 17.43403, 89.21586, 349.88202, 999.52429]
    np.testing.assert_allclose(grey_nits(expand_by_bt2446_a), expected, rtol=3e-4)


def test_method_c() -> None:
    """The report's forward method, with its rounded constants, gives back the photograph's light:
    ``k1 Y``, above the knee ``k2 ln(Y / Yip - k3) + k4``."""
    nits = grey_nits(expand_by_bt2446_c)
    knee = 58.5 / 0.83802
    shoulder = np.log(np.maximum(nits / knee - 0.74204, 0.1))
    percent = np.where(nits < knee, 0.83802 * nits, 15.09968 * shoulder + 78.99439)
    np.testing.assert_allclose(percent, 100 * srgb_decode(GREYS / 255), rtol=2e-3)


def test_libplacebo() -> None:
    """``spline`` of libplacebo's tone_mapping.c, compiled by itself for 203 to 1000 cd/m2."""
    expected = [0, 0.2626, 11.6859, 80.3613, 391.6908, 1000.0]
    np.testing.assert_allclose(grey_nits(expand_by_libplacebo), expected, rtol=3e-4, atol=1e-3)


@operators
def test_a_photograph(operator) -> None:
    """No colour is beyond what the screen shows by more than method A's 7.5 % make it, and bright
    stays brighter than dark."""
    photo = read_photo(bundled_photos("test")[0])[::4, ::4]
    light = operator(photo)
    assert light.dtype == np.float32 and light.shape == photo.shape
    assert np.isfinite(light).all() and light.min() >= 0 and light.max() * WHITE_NITS < 1700
    before = srgb_decode(photo / 255) @ LUMINANCE
    assert spearmanr(light @ LUMINANCE, before, axis=None).statistic > 0.98


@operators
def test_black(operator) -> None:
    assert operator(np.zeros((2, 3, 3), np.uint8)).max() < 1e-6
