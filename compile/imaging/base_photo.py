"""A photograph beside the light that was made of it: the base of a picture with a gain map."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin

from compile.imaging.jpeg_segments import SIGNATURE, first_picture


@dataclass(frozen=True)
class BasePhoto:
    """What a screen without HDR shows.

    Attributes:
        pixels: uint8 [H, W, 3], upright, with sRGB's curve in the primaries of the light.
        file: that they were read from; empty for none.
        is_file: whether the pixels are those that a decoder makes of the file, where that is known;
            None where they have to be compared.
    """

    pixels: NDArray[np.uint8]
    file: bytes = b""
    is_file: bool | None = None

    @cached_property
    def jpeg(self) -> bytes | None:
        """The file, if it is a JPEG of just these pixels: it is not where it was turned, shrunk or
        of other colours. It is decoded for that, so this is asked only where a base is made."""
        if not self.file.startswith(SIGNATURE) or self.is_file is False:
            return None
        data = first_picture(self.file)
        if self.is_file:
            return data
        # Not Image.open, which refuses 179 megapixels and more.
        with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
            is_same = image.mode == "RGB" and (image.height, image.width) == self.pixels.shape[:2]
            return data if is_same and np.array_equal(np.asarray(image), self.pixels) else None
