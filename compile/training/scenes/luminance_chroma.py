"""Pictures that OpenEXR has stored as luminance, with chroma at half the size or without it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compile.training.virtual_camera import LUMINANCE


def rgb_of(channels: Mapping[str, NDArray]) -> NDArray[np.float32]:
    """Linear RGB, float32 [H,W,3], of Y [H,W], and of RY and BY [H/2,W/2] if they are there.

    RY = (R - Y) / Y and BY = (B - Y) / Y (OpenEXR, "Luminance/Chroma Images"), enlarged bilinearly;
    Y is that of BT.709's primaries. Without chroma the picture is grey.
    """
    luminance = np.asarray(channels["Y"], np.float32)
    if "RY" not in channels:
        return np.repeat(luminance[..., None], 3, -1)
    size = luminance.shape[::-1]
    red, blue = (
        luminance
        * (
            1
            + np.asarray(
                Image.fromarray(np.asarray(channels[name], np.float32)).resize(
                    size, Image.Resampling.BILINEAR
                )
            )
        )
        for name in ("RY", "BY")
    )
    green = (luminance - LUMINANCE[0] * red - LUMINANCE[2] * blue) / LUMINANCE[1]
    return np.stack([red, green, blue], -1)
