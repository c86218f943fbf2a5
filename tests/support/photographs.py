"""The bundled photographs at the sizes that a test asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo

PHOTOS = bundled_photos("test") + bundled_photos("calibration")


def scaled(path: Path, height: int, width: int) -> NDArray[np.uint8]:
    """The middle of a photograph, as much as fits, at exactly that size."""
    photo = Image.fromarray(read_photo(path))
    return np.asarray(ImageOps.fit(photo, (width, height), Image.Resampling.LANCZOS))
