"""What networks are run on: the bundled photographs that are for tests."""

from __future__ import annotations

import numpy as np

from compile.artefact.reader import Artefact
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


def artefact_frame(artefact: Artefact) -> Frame:
    """A photograph of the size of ``artefact``, or random numbers where it takes tensors."""
    inputs = artefact.manifest.inputs
    if not artefact.manifest.takes_photographs:
        random = np.random.default_rng(0)
        return tuple(random.random(one.shape).astype(one.dtype) for one in inputs)
    (frame,) = photo_frames(artefact.size, inputs[0].shape[3], 1)
    return frame
