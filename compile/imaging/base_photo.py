"""A photograph beside the light that was made of it: the base of a picture with a gain map."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from compile.imaging.jpeg_segments import SIGNATURE, first_picture


@dataclass(frozen=True)
class BasePhoto:
    """What a screen without HDR shows.

    Attributes:
        pixels: uint8 [H, W, 3], sRGB, upright.
        jpeg: a file whose pixels they are, or None.
    """

    pixels: NDArray[np.uint8]
    jpeg: bytes | None = None


def base_photo(pixels: NDArray[np.uint8], data: bytes) -> BasePhoto:
    """``pixels`` with ``data``, the file that they were read from, if that is a JPEG file of just
    these: it is not where it was turned, shrunk or of other colours."""
    if data.startswith(SIGNATURE):
        data = first_picture(data)
        # Not Image.open, which refuses 179 megapixels and more.
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
            is_same = image.mode == "RGB" and (image.height, image.width) == pixels.shape[:2]
            if is_same and np.array_equal(np.asarray(image), pixels):
                return BasePhoto(pixels, data)
    return BasePhoto(pixels)
