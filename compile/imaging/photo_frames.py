"""What networks are run on: the bundled photographs that are for tests."""

from __future__ import annotations

import numpy as np

from compile.imaging.bundled import bundled_photos
from compile.imaging.fit_size import fit_photo
from compile.imaging.read_photo import read_photo
from compile.support.frame import Frame, frame_of


def photo_frames(size: tuple[int, int], channels: int, count: int | None = None) -> list[Frame]:
    """``count`` photographs (all, where that is None) of a height and width. A network of the
    user's own may take grey pictures, or RAW ones of four channels."""
    taken = np.arange(channels) % 3
    return [
        frame_of(fit_photo(read_photo(path), *size, "resize")[0][..., taken])
        for path in bundled_photos("test")[:count]
    ]
