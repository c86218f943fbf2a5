"""Our own build, through TVM's virtual machine."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from bench.baselines.engine import Job
from compile.artefact import open_artefact
from compile.run_artefact import Session


class TvmArtefact:
    """An artefact of ``compile/build.py``; bytes go in as they are."""

    def __init__(self, job: Job) -> None:
        assert job.artefact is not None
        self.version = version("apache-tvm")
        self._session = Session(open_artefact(job.artefact), job.threads)

    def set_photo(self, photo: NDArray[np.uint8]) -> None:
        """Take ``photo``, uint8 [H,W,3]."""
        self._photo = photo

    def run(self) -> None:
        """Compute one frame, the copies into and out of TVM's tensors included."""
        self._output, _ = self._session.run(self._photo)

    def output(self) -> NDArray[np.float32]:
        """H of the last frame, float32 [H,W,3]."""
        return self._output
