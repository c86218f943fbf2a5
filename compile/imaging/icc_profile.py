"""What an embedded ICC profile is: its colour model, and whether its curve is one of HDR."""

from __future__ import annotations

import struct
from typing import Any, cast

import imagecodecs
import numpy as np

from compile.imaging.colour_spaces import HDR_TRANSFERS, ColourSpace
from compile.imaging.transfer import PQ_PEAK_NITS, hlg_decode, pq_decode

RELATIVE_COLORIMETRIC = int(imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC)

_HEADER = 128
_NOT_OF_PICTURES = (b"link", b"nmcl", b"abst")
_MODELS = {b"RGB ": "rgb", b"GRAY": "gray", b"CMYK": "cmyk"}
# A table of a few hundred entries follows these curves to less than this; no other curve does.
_SAME_CURVE = 0.004


def space_of_profile(profile: bytes, origin: str, name: str = "") -> ColourSpace:
    """The colour space of an ICC profile.

    A PQ or HLG profile is recognized by its ``cicp`` tag (ICC.1:2022, 9.2.17), by the name that
    W3C's note "Using the ITU BT.2100 PQ EOTF with the PNG Format" gives it, or by its curve.

    Args:
        name: that PNG gives the profile.
    """
    hdr = None
    if name == "ITUR_2100_PQ_FULL":
        hdr = "PQ"
    codes = _tag(profile, b"cicp")
    if codes is not None and len(codes) >= 12:
        hdr = HDR_TRANSFERS.get(codes[9])
    return ColourSpace(origin, profile, hdr=hdr or _hdr_curve(profile))


def colour_model(profile: bytes) -> str:
    """ "rgb", "gray" or "cmyk".

    Raises:
        ValueError: no ICC profile, or one of no picture.
    """
    if len(profile) < _HEADER or profile[36:40] != b"acsp":
        raise ValueError("it is no ICC profile")
    model, kind = profile[16:20], profile[12:16]
    if model not in _MODELS or kind in _NOT_OF_PICTURES:
        raise ValueError("it is not for grey, RGB or CMYK pictures")
    return _MODELS[model]


def _tag(profile: bytes, wanted: bytes) -> bytes | None:
    if len(profile) < _HEADER + 4:
        return None
    (count,) = struct.unpack_from(">I", profile, _HEADER)
    for at in range(_HEADER + 4, min(_HEADER + 4 + 12 * count, len(profile) - 11), 12):
        name, start, size = struct.unpack_from(">4sII", profile, at)
        if name == wanted:
            return profile[start : start + size]
    return None


def _hdr_curve(profile: bytes) -> str | None:
    """ "PQ" or "HLG" where that is the curve from grey values to luminance."""
    try:
        model = colour_model(profile)
        if model == "cmyk":
            return None
        values = np.linspace(0, 1, 65)
        grey = np.rint(values * 65535).astype(np.uint16).reshape(1, -1, 1)
        xyz = np.empty((1, len(values), 3))
        imagecodecs.cms_transform(
            np.repeat(grey, 3, -1) if model == "rgb" else grey,
            profile,
            imagecodecs.cms_profile("xyz"),
            colorspace=model,
            outcolorspace="xyz",
            intent=RELATIVE_COLORIMETRIC,
            out=cast(Any, xyz),  # its type says bytearray only
        )
        light = xyz[0, :, 1]
    except (imagecodecs.CmsError, ValueError):
        return None
    if not light[-1] > 0:
        return None
    light = light / light[-1]
    for name, curve in (("PQ", pq_decode(values) / PQ_PEAK_NITS), ("HLG", hlg_decode(values))):
        if np.abs(light - curve).max() < _SAME_CURVE:
            return name
    return None
