"""MQNet's output H and mu-law light as tensors, with a slope everywhere: what training computes in.

The formulas are those of :mod:`compile.imaging.decode_hdr`.
"""

from __future__ import annotations

import math

from torch import Tensor

from compile.imaging.decode_hdr import CURVATURE, MU, PEAK, SRGB_LINEAR_END, WHITE_SLOPE


def encode_light(light: Tensor) -> Tensor:
    """:func:`compile.imaging.decode_hdr.encode_hdr` of a tensor."""
    light = light.clamp(0, PEAK)
    log_light = light.clamp_min(1).log()
    t = ((WHITE_SLOPE**2 + 4 * CURVATURE * log_light).sqrt() - WHITE_SLOPE) / (2 * CURVATURE)
    curved = 1.055 * light.clamp(SRGB_LINEAR_END / 12.92, 1) ** (1 / 2.4) - 0.055 + t
    return (light * 12.92).where(light <= SRGB_LINEAR_END / 12.92, curved).sigmoid()


def mu_law_of(output: Tensor) -> Tensor:
    """mu-law light y of H, float32 of any shape.

    Where decoding clips there still is a slope, so that a network finds back: below 0 light goes on
    as a straight line and y is odd, and above 16 both go on as they are.
    """
    z = output.logit()
    curved = ((z.clamp(SRGB_LINEAR_END, 1) + 0.055) / 1.055) ** 2.4
    t = (z - 1).clamp_min(0)
    curved = curved * (t * (WHITE_SLOPE + CURVATURE * t)).exp()
    light = (z / 12.92).where(z <= SRGB_LINEAR_END, curved)
    h = light * (MU / PEAK)
    # At black itself the slope of relu is 0 and that of the clamp is 1.
    return (h.clamp_min(0).log1p() - (-h).relu().log1p()) / math.log1p(MU)
