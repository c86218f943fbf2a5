"""What a build is run on where only its time matters."""

from __future__ import annotations

import numpy as np

from compile.artefact.reader import Artefact
from compile.imaging.bundled import bundled_photos
from compile.imaging.fit_size import fit_photo
from compile.imaging.read_photo import read_photo
from compile.support.frame import Frame, frame_of


def artefact_frame(artefact: Artefact) -> Frame:
    """A photograph of the size of ``artefact``, or random numbers where it takes tensors."""
    inputs = artefact.manifest.inputs
    if not artefact.manifest.takes_photographs:
        random = np.random.default_rng(0)
        return tuple(random.random(one.shape).astype(one.dtype) for one in inputs)
    photo, _ = fit_photo(read_photo(bundled_photos("test")[0]), *artefact.size, "resize")
    # A network of the user's own may take grey pictures, or RAW ones of four channels.
    return frame_of(photo[..., np.arange(inputs[0].shape[3]) % 3])
