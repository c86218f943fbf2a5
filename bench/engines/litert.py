"""LiteRT (TFLite), its operations delegated to XNNPACK: the engine that the paper measured with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.engines.engine import Engine, Job
from bench.peers.peer_files import engine_file, litert_name
from compile.support.frame import Frame

if TYPE_CHECKING:
    from device.server.litert_file import LiteRTFile
    from device.server.litert_gpu_file import LiteRTGpuFile


class LiteRT(Engine):
    """A file of ``bench/peers/convert_litert.py``."""

    name: ClassVar = "litert"
    schemes: ClassVar[tuple[str, ...]] = ("mixed", "fp32", "fp16", "w8a32", "w8a16", "int8")
    runs_on_device: ClassVar = True
    reads_files: ClassVar = True
    packages: ClassVar = ("device.server.litert_file",)
    marker: ClassVar = "s"

    _file: LiteRTFile | LiteRTGpuFile

    def files(self, job: Job) -> tuple[Path, ...]:
        """List its .tflite."""
        return (engine_file(job.files, litert_name(job.scheme, job.size)),)

    def load(self, job: Job) -> None:
        """Load the network's .tflite."""
        from device.server.litert_file import LiteRTFile

        (path,) = self.files(job)
        file = LiteRTFile(path, job.threads)
        self._file, self.version = file, file.version

    def set_inputs(self, frame: Frame) -> None:
        """Take a photograph, uint8 [1,H,W,3]."""
        self._file.set_inputs(frame)

    def run(self) -> None:
        """Compute one frame."""
        self._file.run()

    def outputs(self) -> Frame:
        """Return H of the last frame, float32 [1,H,W,3]."""
        return self._file.outputs()
