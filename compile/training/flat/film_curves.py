"""Film-like response curves that no training knows: for the test set alone."""

from __future__ import annotations

import torch
from torch import Tensor

from compile.training.response_curves import Curve, keep_middle_grey

# Of Hable's curve: A to F, and the light that is shown as white.
_A, _B, _C, _D, _E, _F, _WHITE = 0.15, 0.5, 0.1, 0.2, 0.02, 0.3, 11.2
# AgX: the stops of light about 1 that it covers, and its contrast, highest power first.
_DARKEST_STOP, _BRIGHTEST_STOP = -12.47393, 4.026069
_CONTRAST = (15.5, -40.14, 31.96, -6.868, 0.4298, 0.1191, -0.00232)


def hable(light: Tensor) -> Tensor:
    """Hable, "Uncharted 2: HDR Lighting" (GDC 2010): shoulder, line and toe in one fraction."""

    def curve(x: Tensor) -> Tensor:
        return (x * (_A * x + _C * _B) + _D * _E) / (x * (_A * x + _B) + _D * _F) - _E / _F

    return keep_middle_grey(lambda x: curve(x) / float(curve(torch.tensor(_WHITE))))(light)


def aces(light: Tensor) -> Tensor:
    """Narkowicz, "ACES Filmic Tone Mapping Curve" (2015), a fit of ACES's rendering."""
    return keep_middle_grey(lambda x: x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14))(light)


def agx(light: Tensor) -> Tensor:
    """Sobotka's AgX by Wrensch's polynomial ("Minimal AgX Implementation", 2023), without its
    mixing of channels."""

    def tone(x: Tensor) -> Tensor:
        stops = x.clamp_min(2**_DARKEST_STOP).log2()
        share = (stops - _DARKEST_STOP) / (_BRIGHTEST_STOP - _DARKEST_STOP)
        share, value = share.clamp(0, 1), torch.zeros_like(x)
        for factor in _CONTRAST:
            value = value * share + factor
        return value.clamp(0, 1) ** 2.2

    return keep_middle_grey(tone)(light)


FILM_CURVES: dict[str, Curve] = {"hable": hable, "aces": aces, "agx": agx}
"""By their names in ``cameras.toml``: light to value in [0, 1], of any shape."""
