"""What video players do to show a photograph or a clip without HDR on a screen with it.

Each takes a photograph, uint8 [H,W,3], and gives relative light, float32 of the same shape, as that
player shows it on a screen of 1000 cd/m2, at 203 cd/m2 for 1. Nothing is fitted. Both methods of
Report ITU-R BT.2446-1 (2021) take white without HDR for 100 cd/m2, libplacebo takes it for 203.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compile.imaging.colour_spaces import PRIMARIES, rgb_to_xyz
from compile.imaging.decode_hdr import WHITE_NITS
from compile.imaging.gamuts import BT709_TO_BT2020
from compile.imaging.transfer import BT2020_LUMINANCE, pq_decode, pq_encode, srgb_decode

Photo = NDArray[np.uint8]
Light = NDArray[np.float32]
_Floats = NDArray[np.float64]

_PEAK_NITS = 1000.0
_TO_BT709 = np.linalg.inv(np.asarray(BT709_TO_BT2020, np.float64))

# BT.2446-1, method C: where the line ends, in per cent of white without HDR; and k1 and k3.
_KNEE, _SLOPE, _SHOULDER = 58.535, 0.83802, 0.74204

# libplacebo's PL_TONE_MAP_CONSTANTS; a screen's contrast without HDR, and its black with it.
_KNEE_MINIMUM, _KNEE_MAXIMUM, _KNEE_DEFAULT, _KNEE_ADAPTATION = 0.1, 0.8, 0.4, 0.4
_SLOPE_OFFSET, _CONTRAST = 0.2, 0.5
_SDR_CONTRAST, _HDR_BLACK = 1000.0, 1e-6

# libplacebo's IPT: HPE's XYZ -> LMS with 4 % of crosstalk, and Ebner and Fairchild's LMS -> IPT.
_XYZ_TO_LMS = np.array(
    [[0.40024, 0.70760, -0.08081], [-0.22630, 1.16532, 0.04570], [0.0, 0.0, 0.91822]]
)
_LMS_TO_IPT = np.array([[0.4, 0.4, 0.2], [4.4550, -4.8510, 0.3960], [0.8056, 0.3572, -1.1628]])
_BT2020_TO_LMS = (0.04 + 0.88 * np.eye(3)) @ _XYZ_TO_LMS @ rgb_to_xyz(*PRIMARIES[9])


def expand_by_bt2446_a(photo: Photo) -> Light:
    """Method A of Report ITU-R BT.2446-1, section 4: luma to a power that depends on it, colour
    differences with it and 7.5 % more."""
    encoded = _bt2020(photo) ** (1 / 2.4)
    luma = encoded @ BT2020_LUMINANCE
    expanded = _expand_luma(255 * luma)
    gain = np.where(luma > 0, 1.075 * expanded / np.maximum(luma, 1e-9), 1.0)
    # R' - Y' and B' - Y' by the gain, and G' by what Y' leaves of them.
    differences = gain[..., None] * (encoded - luma[..., None])
    light = np.maximum(expanded[..., None] + differences, 0) ** 2.4
    return _relative(light * _PEAK_NITS)


def _expand_luma(codes: _Floats) -> _Floats:
    """The share of the peak, to the power of 1/2.4, of luma from 0 to 255."""
    dark = (1.8712e-5 * codes - 2.7334e-3) * codes + 1.3141
    bright = (2.8305e-6 * codes - 7.4622e-4) * codes + 1.2528
    return codes ** np.where(codes <= 70, dark, bright) / 1000


def expand_by_bt2446_c(photo: Photo) -> Light:
    """Method C of Report ITU-R BT.2446-1, section 6, the other way round and without crosstalk: a
    line, and above 58.5 % of white an exponential; the chromaticity stays."""
    light = _bt2020(photo)
    luminance = light @ BT2020_LUMINANCE
    expanded = _expand_luminance(100 * luminance)
    gain = expanded / np.maximum(luminance, 1e-9)
    return _relative(light * gain[..., None])


def _expand_luminance(percent: _Floats) -> _Floats:
    """cd/m2 of luminance in per cent of white without HDR."""
    log_gain = _KNEE * (1 - _SHOULDER)
    offset = _KNEE - log_gain * np.log(1 - _SHOULDER)
    bright = _KNEE / _SLOPE * (np.exp((percent - offset) / log_gain) + _SHOULDER)
    return np.where(percent <= _KNEE, percent / _SLOPE, bright)


def expand_by_libplacebo(photo: Photo) -> Light:
    """libplacebo's curve ``spline`` (mpv, VLC) with ``inverse_tone_mapping``: two polynomials in PQ
    that meet at a knee, for a clip whose mean is not known; applied to intensity in IPT, and to
    the chroma what its ``pl_shader_color_map`` does."""
    lms = np.maximum(_bt2020(photo) * WHITE_NITS @ _BT2020_TO_LMS.T, 0)
    ipt = pq_encode(lms) @ _LMS_TO_IPT.T
    before = np.maximum(ipt[..., 0], 1e-6)
    after = np.maximum(_spline(before), 1e-6)
    hull = [((i - 6) * i + 9) * i for i in (before, after)]
    chroma = ipt[..., 1:] * np.minimum(before / after, hull[1] / hull[0])[..., None]
    mapped = np.concatenate([after[..., None], chroma], -1) @ np.linalg.inv(_LMS_TO_IPT).T
    nits = pq_decode(np.clip(mapped, 0, 1)) @ np.linalg.inv(_BT2020_TO_LMS).T
    return _relative(np.clip(nits, 0, _PEAK_NITS))


def _spline(codes: _Floats) -> _Floats:
    """PQ to PQ, from 203 to 1000 cd/m2."""
    nits = np.array([WHITE_NITS / _SDR_CONTRAST, WHITE_NITS, _HDR_BLACK, _PEAK_NITS])
    in_min, in_max, out_min, out_max = (float(code) for code in pq_encode(nits))
    knee = in_min + _KNEE_DEFAULT * (in_max - in_min)
    adapted = out_min + _KNEE_DEFAULT * (out_max - out_min)
    target = knee + _KNEE_ADAPTATION * (adapted - knee)
    bounds = [out_min + share * (out_max - out_min) for share in (_KNEE_MINIMUM, _KNEE_MAXIMUM)]
    target = min(max(target, bounds[0]), bounds[1])
    # libplacebo's ratio of peaks less 1 is negative when the range grows, so it is at its bound.
    slope = ((target - out_min) / (knee - in_min)) ** ((1 - _CONTRAST) * _SLOPE_OFFSET)
    low, high = in_min - knee, in_max - knee
    quadratic = (out_min - target - slope * low) / low**2
    rest = slope * high - (out_max - target)
    x = np.clip(codes, in_min, in_max) - knee
    below = (quadratic * x + slope) * x
    above = ((rest / (2 * high**3) * x - 3 * rest / (2 * high**2)) * x + slope) * x
    return np.where(x > 0, above, below) + target


def _bt2020(photo: Photo) -> _Floats:
    """Linear light in BT.2020, white 1."""
    return np.clip(srgb_decode(photo / 255).astype(np.float64) @ BT709_TO_BT2020.T, 0, 1)


def _relative(nits: _Floats) -> Light:
    """Relative light in sRGB's primaries of cd/m2 in BT.2020."""
    return np.maximum(nits @ _TO_BT709.T / WHITE_NITS, 0).astype(np.float32)
