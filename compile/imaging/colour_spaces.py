"""The colour spaces that photographs name, as ICC profiles: by code, by numbers, by EXIF."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from compile.imaging.transfer import srgb_decode

D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
_TABLE = np.linspace(0, 1, 4096)

SRGB_PRIMARIES = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)

#: ITU-T H.273 (2021), table 2: white, then red, green and blue, each x and y. Code 10, CIE XYZ, has
#: no ICC profile: its blue has no luminance.
PRIMARIES = {
    1: (D65, SRGB_PRIMARIES),
    4: (_C, (0.67, 0.33, 0.21, 0.71, 0.14, 0.08)),
    5: (D65, (0.64, 0.33, 0.29, 0.60, 0.15, 0.06)),
    6: (D65, (0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    7: (D65, (0.630, 0.340, 0.310, 0.595, 0.155, 0.070)),
    8: (_C, (0.681, 0.319, 0.243, 0.692, 0.145, 0.049)),
    9: (D65, (0.708, 0.292, 0.170, 0.797, 0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    12: (D65, (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)),
    22: (D65, (0.630, 0.340, 0.295, 0.605, 0.155, 0.077)),
}


def _bt709_decode(value: np.ndarray) -> np.ndarray:
    """The inverse of ITU-R BT.709's transfer function, as H.273 and the makers of cICP have it."""
    a, b = 1.09929682680944, 0.018053968510807
    return np.where(value < 4.5 * b, value / 4.5, ((value + a - 1) / a) ** (1 / 0.45))


# ITU-T H.273 (2021), table 3: linear light of a value in [0, 1].
_TRANSFERS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    **dict.fromkeys((1, 6, 14, 15), _bt709_decode),
    4: lambda value: value**2.2,
    5: lambda value: value**2.8,
    8: lambda value: value,
    13: srgb_decode,
}
HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class ColourSpace:
    """A colour space that a file names.

    Attributes:
        origin: what in the file names it, for messages.
        profile: its ICC profile; None for sRGB.
        full_range: whether black is 0 and white the largest code, as in nearly all pictures;
            else they are 16 and 235 of 8 bits, as in television.
        hdr: "PQ" or "HLG" where that is the transfer function, else None.
    """

    origin: str
    profile: bytes | None = None
    full_range: bool = True
    hdr: str | None = None


def space_of_codes(primaries: int, transfer: int, full_range: bool, origin: str) -> ColourSpace:
    """The colour space with two code points of ITU-T H.273, as in PNG's cICP.

    Raises:
        ValueError: no code is known by these numbers; 2 is "unspecified".
    """
    if transfer in HDR_TRANSFERS:
        return ColourSpace(origin, hdr=HDR_TRANSFERS[transfer])
    if primaries not in PRIMARIES or transfer not in _TRANSFERS:
        raise ValueError(f"primaries {primaries} with transfer function {transfer} is unknown")
    if (primaries, transfer) == (1, 13):
        return ColourSpace(origin, full_range=full_range)
    white, chromaticities = PRIMARIES[primaries]
    profile = _profile(white, chromaticities, _TRANSFERS[transfer](_TABLE))
    return ColourSpace(origin, profile, full_range)


def space_of_numbers(
    gamma: float | None,
    chromaticities: Sequence[float] | None,
    origin: str,
) -> ColourSpace:
    """The colour space of a gamma and of chromaticities, either of which may be missing.

    Args:
        gamma: linear light is value ** gamma; sRGB's curve where it is None.
        chromaticities: x and y of white, red, green and blue; sRGB's where it is None.

    Raises:
        ValueError: the numbers are no colour space.
    """
    white: Sequence[float] = D65
    primaries: Sequence[float] = SRGB_PRIMARIES
    if chromaticities is not None:
        white, primaries = chromaticities[:2], chromaticities[2:]
        _check_triangle(white, primaries)
    if gamma is not None and not 0.2 <= gamma <= 5:
        raise ValueError(f"a gamma of {gamma:g} is no picture's")
    # sRGB is written so for readers that know neither its chunk nor profiles (PNG, 3rd edition,
    # 11.3.2.5), and read so by libpng, ImageMagick and browsers.
    like_srgb = np.allclose((*white, *primaries), (*D65, *SRGB_PRIMARIES), atol=2e-3)
    if like_srgb and (gamma is None or abs(gamma / 2.2 - 1) < 0.01):
        return ColourSpace(origin)
    light = srgb_decode(_TABLE) if gamma is None else _TABLE**gamma
    return ColourSpace(origin, _profile(white, primaries, light))


def space_of_curve(
    white: Sequence[float], primaries: Sequence[float], curve: float | int, origin: str
) -> ColourSpace:
    """The colour space of chromaticities and of a transfer function.

    Args:
        curve: an integer is a code of ITU-T H.273, as in JPEG XL's header; a float is a gamma.

    Raises:
        ValueError: the numbers are no colour space, or no curve is known by the code.
    """
    if isinstance(curve, float):
        return space_of_numbers(curve, (*white, *primaries), origin)
    if curve in HDR_TRANSFERS:
        return ColourSpace(origin, hdr=HDR_TRANSFERS[curve])
    if curve == 13:
        return space_of_numbers(None, (*white, *primaries), origin)
    if curve not in _TRANSFERS:
        raise ValueError(f"transfer function {curve} is unknown")
    _check_triangle(white, primaries)
    return ColourSpace(origin, _profile(white, primaries, _TRANSFERS[curve](_TABLE)))


def space_of_exif(
    main: Mapping[int, Any], exif: Mapping[int, Any], interop: Mapping[int, Any]
) -> ColourSpace | None:
    """The colour space that EXIF names, or None where it names none.

    Args:
        main, exif, interop: values of the three directories, by tag (Exif 2.32; DCF 2.0 for the
            interoperability index "R03", Adobe RGB).

    Raises:
        ValueError: it says that the picture is not sRGB, and not what it is instead.
    """
    code = exif.get(0xA001)
    index = str(interop.get(1, "")).strip("\0 ")
    if code == 1 or (code is None and index != "R03"):
        return ColourSpace("EXIF") if code == 1 else _exif_numbers(main, exif)
    if code == 2 or index == "R03":
        return ColourSpace("EXIF (Adobe RGB)", imagecodecs.cms_profile("adobergb"))
    if code == 0xFFFD:  # Adobe's Wide Gamut RGB, whose white is D50
        numbers = (0.3457, 0.3585, 0.7347, 0.2653, 0.1152, 0.8264, 0.1566, 0.0177)
        return space_of_numbers(563 / 256, numbers, "EXIF (Wide Gamut RGB)")
    if index == "R98":
        return ColourSpace("EXIF")
    space = _exif_numbers(main, exif)
    if space is None:
        raise ValueError(f"EXIF calls the colours uncalibrated (code {code}) without a profile")
    return space


def _exif_numbers(main: Mapping[int, Any], exif: Mapping[int, Any]) -> ColourSpace | None:
    gamma, white, primaries = exif.get(0xA500), main.get(0x013E), main.get(0x013F)
    numbers = None
    if white is not None and primaries is not None:
        numbers = [float(number) for number in (*white, *primaries)]
        if len(numbers) != 8:
            raise ValueError(f"EXIF's chromaticities are {len(numbers)} numbers instead of 8")
    if gamma is None and numbers is None:
        return None
    return space_of_numbers(None if gamma is None else float(gamma), numbers, "EXIF")


def _check_triangle(white: Sequence[float], primaries: Sequence[float]) -> None:
    x, y = np.array([*white, *primaries], float).reshape(4, 2).T
    area = (x[2] - x[1]) * (y[3] - y[1]) - (x[3] - x[1]) * (y[2] - y[1])
    inside = np.isfinite(x).all() and np.isfinite(y).all() and (y > 0).all() and (x >= 0).all()
    if not inside or abs(area) < 1e-3 or (x + y > 1.001).any():
        raise ValueError("its chromaticities are no colours")


def rgb_to_xyz(white: Sequence[float], primaries: Sequence[float]) -> NDArray[np.float64]:
    """The matrix [3, 3] from linear RGB to CIE XYZ with Y = 1 of white (SMPTE RP 177), of x and y
    of the ``white``, and of red, green and blue."""

    def xyz(x: float, y: float) -> NDArray[np.float64]:
        return np.array([x / y, 1, (1 - x - y) / y])

    columns = np.stack([xyz(*primaries[at : at + 2]) for at in (0, 2, 4)], -1)
    return columns * np.linalg.solve(columns, xyz(*white))


def profile_of(
    white: Sequence[float],
    primaries: Sequence[float],
    decode: Callable[[np.ndarray], np.ndarray],
) -> bytes:
    """An ICC profile of chromaticities and of the curve that ``decode`` makes linear."""
    return _profile(white, primaries, decode(_TABLE))


def _profile(white: Sequence[float], primaries: Sequence[float], light: np.ndarray) -> bytes:
    """An ICC profile; ``light`` is the linear light at each of :data:`_TABLE`'s values."""
    return imagecodecs.cms_profile(
        "rgb",
        whitepoint=[float(number) for number in white],
        primaries=[float(number) for number in primaries],
        transferfunction=np.asarray(light, np.float32),
    )
