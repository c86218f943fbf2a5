"""Our own build, through TVM's virtual machine."""

from __future__ import annotations

import json
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from bench.engines.engine import Job
from compile.artefact.artefact import Artefact, open_artefact
from device.runtime.gpu_name import gpu_name
from device.runtime.opencl_device import describe_opencl
from device.runtime.run_artefact import Session


class TvmArtefact:
    """An artefact of ``compile/build.py``; bytes go in as they are."""

    def __init__(self, job: Job) -> None:
        assert job.artefact is not None
        artefact = open_artefact(job.artefact)
        self._session = Session(artefact, job.threads)
        self.version = version_here(artefact)

    def set_photo(self, photo: NDArray[np.uint8]) -> None:
        """Take ``photo``, uint8 [H,W,3]."""
        self._photo = photo

    def run(self) -> None:
        """Compute one frame, the copies into and out of TVM's tensors included."""
        self._output, _ = self._session.run(self._photo)

    def output(self) -> NDArray[np.float32]:
        """H of the last frame, float32 [H,W,3]."""
        return self._output


def version_here(artefact: Artefact) -> str:
    """Of TVM, and which GPU the ``artefact`` runs on."""
    if not artefact.manifest.on_gpu:
        return version("apache-tvm")
    return f"{version('apache-tvm')} on {gpu_name(json.loads(describe_opencl()))}"
