"""Response curves: from light, 1 = what plain sRGB shows as white, to the value of a photograph.

A film-like curve keeps middle grey where sRGB has it, as a camera's exposure is set (ISO 12232),
and reaches white above 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Curve = Callable[..., Tensor]

MIDDLE_GREY = 0.18
_MOST_GAIN, _HALVINGS = 64.0, 40


def encode_srgb(light: Tensor) -> Tensor:
    """sRGB's value in [0, 1] of linear ``light``, clipped to [0, 1] (IEC 61966-2-1)."""
    light = light.clamp(0, 1)
    return torch.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light.clamp_min(1e-6) ** (1 / 2.4) - 0.055
    )


def keep_middle_grey(tone: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """``tone`` (light to what is shown, both linear, rising) of that multiple of the light for
    which middle grey stays what it is, as sRGB's value."""
    low, high = 1 / _MOST_GAIN, _MOST_GAIN
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        shown = float(tone(torch.tensor([middle * MIDDLE_GREY], dtype=torch.float64)))
        low, high = (middle, high) if shown < MIDDLE_GREY else (low, middle)
    return lambda light: encode_srgb(tone(light * low))


def power(light: Tensor, gamma: float) -> Tensor:
    """A power of 1 / ``gamma``."""
    return light.clamp(0, 1) ** (1 / gamma)


def reinhard(light: Tensor, white: float) -> Tensor:
    """Reinhard et al., "Photographic Tone Reproduction for Digital Images" (SIGGRAPH 2002), eq. 4:
    ``white`` is the light, in its unit, that is shown as white."""
    return keep_middle_grey(lambda x: x * (1 + x / white**2) / (1 + x))(light)


def uchimura(light: Tensor, contrast: float, start: float, length: float, toe: float) -> Tensor:
    """Uchimura, "HDR Theory and Practice" (CEDEC 2017): a toe, a line from ``start`` on over
    ``length`` of what is left, and a shoulder that reaches white nowhere but by rounding."""
    reach = (1 - start) * length / contrast
    knee, shown = start + reach, start + contrast * reach

    def tone(x: Tensor) -> Tensor:
        line = start + contrast * (x - start)
        dark = start * (x.clamp_min(1e-9) / start) ** toe
        bright = 1 - (1 - shown) * torch.exp(-contrast / (1 - shown) * (x - knee))
        ramp = (x / start).clamp(0, 1)
        ramp = ramp * ramp * (3 - 2 * ramp)
        return torch.where(x >= knee, bright, dark * (1 - ramp) + line * ramp)

    return keep_middle_grey(tone)(light)


def log_logistic(light: Tensor, contrast: float, white: float) -> Tensor:
    """The response of an eye's receptors (Naka and Rushton, "S-potentials from colour units in the
    retina of fish", 1966), which raw developers take as a film's: a sigmoid of light's logarithm.
    ``white`` is the light, in its unit, that is shown as white."""

    def tone(x: Tensor) -> Tensor:
        powered = x**contrast
        return powered / (1 + powered) * (1 + white**-contrast)

    return keep_middle_grey(tone)(light)


CURVES: dict[str, Curve] = {
    "srgb": encode_srgb,
    "power": power,
    "reinhard": reinhard,
    "uchimura": uchimura,
    "log-logistic": log_logistic,
}
"""By their names in ``cameras.toml``: (light, parameters) -> value in [0, 1], of any shape."""
