"""Decoded pixels of any depth and colour space as 8 bits of a space that light is computed in."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compile.imaging.colour_spaces import ColourSpace
from compile.imaging.decoded_photo import DecodedPhoto
from compile.imaging.gamuts import SRGB, Gamut
from compile.imaging.icc_profile import RELATIVE_COLORIMETRIC, colour_model

_PROBE_STEPS = 9
_ROWS = 512
"""Rows that are converted at a time: what is between the two pictures stays small."""


def convert_colours(
    photo: DecodedPhoto, space: ColourSpace | None, gamut: Gamut = SRGB
) -> NDArray[np.uint8]:
    """Convert a decoded photograph to ``gamut``, relative colorimetric, over black.

    A colour space that leaves every colour where it is, to one level of 255, is ``gamut`` whatever
    it is called, and changes nothing. 16-bit pixels are rounded to 8 bits after the conversion.

    Args:
        space: of the pixels; None takes grey and RGB for sRGB, CMYK for Pillow's plain inks.

    Returns:
        uint8 [H, W, 3].

    Raises:
        ValueError: the colour space's profile is broken or for another kind of picture.
    """
    pixels = photo.pixels
    if space is not None and not space.full_range:
        pixels = _full_range(pixels)
    if pixels.shape[-1] == 4:
        rgb = _cmyk_to_srgb(pixels, space)
    elif space is None or space.profile is None:
        rgb = _gray_by_table(pixels, None) if pixels.shape[-1] == 1 else _to_8_bits(pixels)
    else:
        rgb = _by_profile(pixels, space.profile, gamut)
    return rgb if photo.alpha is None else _over_black(rgb, photo.alpha)


def _by_profile(pixels: NDArray[Any], profile: bytes, gamut: Gamut) -> NDArray[np.uint8]:
    model = colour_model(profile)
    if model == "cmyk":
        raise ValueError("it is for CMYK pictures")
    if pixels.shape[-1] == 3 and model == "gray":
        if (pixels != pixels[..., :1]).any():
            raise ValueError("it is for grey pictures")
        pixels = pixels[..., :1]
    if pixels.shape[-1] == 1:
        return _gray_by_table(pixels, profile)
    probe = _probe()
    if np.abs(_transform(probe, profile, "rgb", gamut).astype(int) - probe).max() <= 1:
        return _to_8_bits(pixels)
    return _transform(pixels, profile, "rgb", gamut)


def _gray_by_table(pixels: NDArray[Any], profile: bytes | None) -> NDArray[np.uint8]:
    """Look up what each grey value becomes; a profile of RGB, as a conversion to grey leaves
    it, is asked for equal red, green and blue."""
    table = np.repeat(_to_8_bits(_all_codes(pixels.dtype))[:, None], 3, -1)
    if profile is not None:
        model = colour_model(profile)
        # In 16 bits, since littlecms loses up to ten levels of dark grey in 8.
        codes = _all_codes(pixels.dtype).astype(np.uint16).reshape(1, -1, 1)
        codes *= 65535 // np.iinfo(pixels.dtype).max
        if model == "rgb":
            codes = np.repeat(codes, 3, -1)
        converted = _transform(codes, profile, model)[0]
        if np.abs(converted.astype(int) - table).max() > 1:
            table = converted
    return table[pixels[..., 0]]


def _cmyk_to_srgb(pixels: NDArray[Any], space: ColourSpace | None) -> NDArray[np.uint8]:
    if space is None or space.profile is None:
        return np.asarray(Image.fromarray(pixels, "CMYK").convert("RGB"))
    if colour_model(space.profile) != "cmyk":
        raise ValueError("it is not for CMYK pictures")
    return _transform(pixels, space.profile, "cmyk")


def _transform(
    pixels: NDArray[Any], profile: bytes, model: str, gamut: Gamut = SRGB
) -> NDArray[np.uint8]:
    out = np.empty((*pixels.shape[:2], 3), np.uint8)
    # littlecms has exact and fast code for 8 bits; of 16 it makes a table with steps in it.
    flags = None if pixels.dtype == np.uint8 else int(imagecodecs.CMS.FLAGS.NOOPTIMIZE)
    try:
        for top in range(0, len(pixels), _ROWS):
            imagecodecs.cms_transform(
                np.ascontiguousarray(pixels[top : top + _ROWS]),
                profile,
                gamut.profile,
                colorspace=model,
                outcolorspace="rgb",
                intent=RELATIVE_COLORIMETRIC,
                flags=flags,
                out=cast(Any, out[top : top + _ROWS]),  # its type says bytearray only
            )
    except imagecodecs.CmsError as error:
        raise ValueError("it is damaged") from error
    return out


@cache
def _probe() -> NDArray[np.uint8]:
    """Colours all over the cube and all greys, uint8 [1, N, 3]."""
    steps = np.rint(np.linspace(0, 255, _PROBE_STEPS)).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    ramp = np.arange(256, dtype=np.uint8)
    axes = np.eye(3, dtype=np.uint8)[:, None, :] * ramp[:, None]
    greys = np.repeat(ramp[:, None], 3, -1)
    return np.concatenate([cube, axes.reshape(-1, 3), greys])[None]


def _all_codes(dtype: np.dtype) -> NDArray[Any]:
    return np.arange(np.iinfo(dtype).max + 1).astype(dtype)


def _to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    table = ((np.arange(65536) * 255 + 32767) // 65535).astype(np.uint8)
    return table[values]


def _full_range(values: NDArray[Any]) -> NDArray[Any]:
    """Stretch narrow range, 16 to 235 of 8 bits, to all codes (ITU-T H.273, 8.3)."""
    most = np.iinfo(values.dtype).max
    unit = (most + 1) // 256
    light = (_all_codes(values.dtype) - 16.0 * unit) / (219 * unit)
    return np.rint(np.clip(light, 0, 1) * most).astype(values.dtype)[values]


def _over_black(rgb: NDArray[np.uint8], alpha: NDArray[Any]) -> NDArray[np.uint8]:
    most = np.iinfo(alpha.dtype).max
    out = np.empty_like(rgb)
    for top in range(0, len(rgb), _ROWS):
        share = alpha[top : top + _ROWS, :, None].astype(np.uint32)
        out[top : top + _ROWS] = (rgb[top : top + _ROWS] * share + most // 2) // most
    return out
