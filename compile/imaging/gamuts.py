"""The colour spaces that light is computed in: the smallest of three that holds a photograph's.

All have sRGB's curve, in which the network expects its numbers, and the white D65.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from compile.imaging.colour_spaces import (
    D65,
    PRIMARIES,
    SRGB_PRIMARIES,
    ColourSpace,
    profile_of,
    rgb_to_xyz,
)
from compile.imaging.icc_profile import RELATIVE_COLORIMETRIC, colour_model
from compile.imaging.transfer import srgb_decode

# ITU-R BT.2087-0, M2: linear BT.709 to linear BT.2020
BT709_TO_BT2020 = np.array(
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]], np.float32
)
# Of light that a space does not have, as far as profiles of one space differ by rounding.
_NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Gamut:
    """One of the spaces.

    Attributes:
        name: for messages.
        primaries: x and y of red, green and blue.
    """

    name: str
    primaries: tuple[float, ...]

    @property
    def chromaticities(self) -> tuple[float, ...]:
        """x and y of red, green, blue and white."""
        return (*self.primaries, *D65)

    @cached_property
    def profile(self) -> bytes:
        """Its ICC profile."""
        if self.primaries == SRGB_PRIMARIES:
            return imagecodecs.cms_profile("srgb")
        return profile_of(D65, self.primaries, srgb_decode)

    def to_bt2020(self, linear: NDArray[np.floating]) -> NDArray[np.floating]:
        """Linear light of this space [..., 3] in BT.2020."""
        if self is BT2020:
            return linear
        matrix = BT709_TO_BT2020 if self is SRGB else _between(self, BT2020)
        return linear @ matrix.T

    def to_bt709(self, linear: NDArray[np.floating]) -> NDArray[np.floating]:
        """Linear light of this space [..., 3] in BT.709, negative where that cannot show it."""
        return linear if self is SRGB else linear @ _between(self, SRGB).T


SRGB = Gamut("sRGB", SRGB_PRIMARIES)
P3 = Gamut("Display P3", PRIMARIES[12][1])
BT2020 = Gamut("BT.2020", PRIMARIES[9][1])


def gamut_of(space: ColourSpace | None) -> Gamut:
    """The smallest that holds the colours of ``space``; BT.2020 where none does, as of ProPhoto
    RGB. Grey and inks are sRGB's.

    Raises:
        ValueError: its profile is broken.
    """
    if space is None or space.profile is None or colour_model(space.profile) != "rgb":
        return SRGB
    corners = np.eye(3, dtype=np.uint16).reshape(1, 3, 3) * 65535
    xyz = _xyz(corners, space.profile)
    for gamut in (SRGB, P3):
        light = xyz @ np.linalg.inv(_xyz(corners, gamut.profile))
        if light.min() > -_NEGLIGIBLE:
            return gamut
    return BT2020


def _xyz(pixels: NDArray[np.uint16], profile: bytes) -> NDArray[np.float64]:
    """Of three colours, relative to the white of profiles, [3, 3]."""
    xyz = np.empty((1, 3, 3))
    try:
        imagecodecs.cms_transform(
            pixels,
            profile,
            imagecodecs.cms_profile("xyz"),
            colorspace="rgb",
            outcolorspace="xyz",
            intent=RELATIVE_COLORIMETRIC,
            out=cast(Any, xyz),  # its type says bytearray only
        )
    except imagecodecs.CmsError as error:
        raise ValueError("it is damaged") from error
    return xyz[0]


@cache
def _between(source: Gamut, target: Gamut) -> NDArray[np.float32]:
    """The matrix from linear RGB to linear RGB (SMPTE RP 177; both whites are D65)."""
    to_xyz, xyz_to = (rgb_to_xyz(D65, one.primaries) for one in (source, target))
    return (np.linalg.inv(xyz_to) @ to_xyz).astype(np.float32)
