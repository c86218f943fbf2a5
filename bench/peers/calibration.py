"""The pictures on which other engines' quantizers choose their scales: those that ours uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compile.imaging.bundled import bundled_photos
from compile.imaging.fit_size import fit_photo
from compile.imaging.read_photo import read_photo
from compile.quantize.calibration import CROP, CROPS, SEED, calibration_crops

_LARGE = 4


def calibration_pictures(size: tuple[int, int]) -> NDArray[np.float32]:
    """float32 [n,1,*size,3] in [0,1]: our calibration's crops, or whole photographs where pictures
    are larger: few of them are enough, and more do not fit into memory."""
    photos = [read_photo(path) for path in bundled_photos("calibration")]
    if size == (CROP, CROP):
        pictures = calibration_crops(photos, SEED, CROPS)
    else:
        pictures = np.stack([fit_photo(photo, *size, "resize")[0] for photo in photos[:_LARGE]])
    return np.divide(pictures[:, None], np.float32(255), dtype=np.float32)
