"""mu-law light as tensors, of linear light and of MQNet's output H: what training computes in.

The formulas are those of :mod:`compile.imaging.decode_hdr`.
"""

from __future__ import annotations

import math

from torch import Tensor

from compile.imaging.decode_hdr import CURVATURE, MU, PEAK, SRGB_LINEAR_END, WHITE_SLOPE


def mu_law_of_light(light: Tensor) -> Tensor:
    """mu-law light y of linear relative light, float32 of any shape; odd, and above 16 it goes on
    as it is."""
    h = light * (MU / PEAK)
    # At black itself the slope of relu is 0 and that of the clamp is 1.
    return (h.clamp_min(0).log1p() - (-h).relu().log1p()) / math.log1p(MU)


def mu_law_of_output(output: Tensor) -> Tensor:
    """mu-law light y of H, float32 of any shape.

    Where decoding clips there still is a slope, so that a network finds back: below 0 light goes on
    as a straight line, and above 16 as it is.
    """
    z = output.logit()
    curved = ((z.clamp(SRGB_LINEAR_END, 1) + 0.055) / 1.055) ** 2.4
    t = (z - 1).clamp_min(0)
    curved = curved * (t * (WHITE_SLOPE + CURVATURE * t)).exp()
    return mu_law_of_light((z / 12.92).where(z <= SRGB_LINEAR_END, curved))
