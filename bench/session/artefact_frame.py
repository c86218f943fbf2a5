"""What a build is timed on."""

from __future__ import annotations

import numpy as np

from compile.artefact.reader import Artefact
from compile.imaging.photo_frames import photo_frames
from compile.support.frame import Frame


def artefact_frame(artefact: Artefact) -> Frame:
    """A photograph of the size of ``artefact``, or random numbers where it takes tensors."""
    inputs = artefact.manifest.inputs
    if not artefact.manifest.takes_photographs:
        random = np.random.default_rng(0)
        return tuple(random.random(one.shape).astype(one.dtype) for one in inputs)
    (frame,) = photo_frames(artefact.size, inputs[0].shape[3], 1)
    return frame
