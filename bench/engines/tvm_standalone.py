"""Our own build without TVM: its standalone form, called as a program in C would call it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.engines.engine import Engine, Job
from bench.engines.tvm_artefact import TvmArtefact
from compile.support.frame import Frame


class TvmStandalone(TvmArtefact):
    """The standalone form of an artefact; it reads and writes the caller's tensors themselves."""

    name: ClassVar = "tvm-standalone"
    standalone: ClassVar = True
    packages: ClassVar = ("device.runtime.standalone_network", "compile.artefact.reader")
    marker: ClassVar = "X"

    def import_packages(self) -> None:
        """Import what finds its library: there is no TVM."""
        Engine.import_packages(self)

    def files(self, job: Job) -> tuple[Path, ...]:
        """List its shared library."""
        from compile.artefact.reader import open_artefact

        assert job.artefact is not None
        name = open_artefact(job.artefact).manifest.standalone
        return (job.artefact / f"lib{name}.so",)

    def load(self, job: Job) -> None:
        """Load the library of the build in ``job.artefact``."""
        from compile.artefact.reader import check_runs_here, open_artefact
        from device.runtime.standalone_network import StandaloneNetwork

        assert job.artefact is not None
        artefact = open_artefact(job.artefact)
        check_runs_here(artefact)
        self._network = StandaloneNetwork(job.artefact, artefact.manifest.standalone, job.threads)
        self.version = artefact.manifest.versions["apache-tvm"]

    def set_inputs(self, frame: Frame) -> None:
        """Take ``frame``."""
        self._network.set_inputs(frame)

    def run(self) -> None:
        """Compute one frame."""
        self._network.run()

    def outputs(self) -> Frame:
        """Return those of the last frame."""
        return self._network.outputs()
