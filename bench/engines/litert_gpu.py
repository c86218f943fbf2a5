"""LiteRT on the GPU: its WebGPU accelerator, which needs a driver of Vulkan."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.engines.engine import Engine, Job
from bench.peers.peer_files import litert_name, peer_file


class LiteRTGpu(Engine):
    """A file of ``bench/peers/convert_litert.py``."""

    name: ClassVar = "litert-gpu"
    # Of bytes in and out its shaders are not valid, and it refuses w8a16.
    schemes: ClassVar = ("mixed", "fp32", "fp16", "w8a32")
    runs_on_gpu: ClassVar = True
    runs_on_device: ClassVar = True
    marker: ClassVar = "d"

    def load(self, job: Job) -> None:
        """Load the network's .tflite.

        Raises:
            TargetError: there is no GPU, or not all of the network can run on it.
        """
        from device.server.litert_gpu_file import LiteRTGpuFile

        self._file = LiteRTGpuFile(peer_file(litert_name(job.scheme, job.size)))
        self.version = self._file.version

    def set_photo(self, photo: NDArray[np.uint8]) -> None:
        """Take ``photo``, uint8 [H,W,3]."""
        self._file.set_photo(photo)

    def run(self) -> None:
        """Compute one frame and read its result."""
        self._file.run()

    def output(self) -> NDArray[np.float32]:
        """Return H of the last frame, float32 [H,W,3]."""
        return self._file.output()
