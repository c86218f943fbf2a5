"""Our own build, through TVM's virtual machine."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.engines.engine import Engine, Job
from compile.artefact.manifest import HEAD_LIBRARY, LIBRARY
from compile.support.frame import Frame
from compile.support.quick_start import import_tvm_alone
from device.runtime.gpu_name import gpu_name

if TYPE_CHECKING:
    from compile.artefact.reader import Artefact


class TvmArtefact(Engine):
    """An artefact of ``compile/build.py``; bytes go in as they are."""

    name: ClassVar = "tvm"
    schemes: ClassVar[tuple[str, ...]] = ("mixed", "mixed-fp16", "fp32", "fp16", "w8a32", "int8")
    runs_on_device: ClassVar = True
    is_ours: ClassVar = True
    takes_any_network: ClassVar = True
    packages: ClassVar = ("device.runtime.run_artefact", "compile.artefact.reader")
    marker: ClassVar = "o"

    def import_packages(self) -> None:
        """Import TVM, and not PyTorch because of it."""
        import_tvm_alone()
        super().import_packages()

    def files(self, job: Job) -> tuple[Path, ...]:
        """List its libraries."""
        from compile.artefact.reader import open_artefact

        assert job.artefact is not None
        made = open_artefact(job.artefact).manifest.files
        return tuple(job.artefact / name for name in (LIBRARY, HEAD_LIBRARY) if name in made)

    def load(self, job: Job) -> None:
        """Load the build in ``job.artefact``."""
        from compile.artefact.reader import open_artefact
        from device.runtime.run_artefact import Session

        assert job.artefact is not None
        artefact = open_artefact(job.artefact)
        self._session = Session(artefact, job.threads)
        self.version = version_here(artefact)

    def set_inputs(self, frame: Frame) -> None:
        """Take ``frame``."""
        self._frame = frame

    def run(self) -> None:
        """Compute one frame, the copies into and out of TVM's tensors included."""
        self._outputs, _ = self._session.run_frame(self._frame)

    def outputs(self) -> Frame:
        """Return those of the last frame."""
        return self._outputs


class TvmImages(TvmArtefact):
    """As our build for a GPU, but with its int8 weights in images."""

    name: ClassVar = "tvm-images"
    schemes: ClassVar = ("mixed", "mixed-fp16", "int8")
    runs_on_gpu: ClassVar = True
    image_weights: ClassVar = True
    marker: ClassVar = "P"


class TvmExact(TvmArtefact):
    """As our build, but made for the number of threads that it is timed with, and no more."""

    name: ClassVar = "tvm-exact"
    exact_threads: ClassVar = True
    marker: ClassVar = "*"


def version_here(artefact: Artefact) -> str:
    """Return TVM's version, and which GPU the ``artefact`` runs on."""
    from device.runtime.opencl_device import describe_opencl

    if not artefact.manifest.on_gpu:
        return version("apache-tvm")
    return f"{version('apache-tvm')} on {gpu_name(json.loads(describe_opencl()))}"
