"""LiteRT on the GPU: its WebGPU accelerator, which needs a driver of Vulkan."""

from __future__ import annotations

from typing import ClassVar

from bench.engines.engine import Job
from bench.engines.litert import LiteRT


class LiteRTGpu(LiteRT):
    """A file of ``bench/peers/convert_litert.py``; a frame is its run and the reading of its
    result."""

    name: ClassVar = "litert-gpu"
    # Of bytes in and out its shaders are not valid, and it refuses w8a16.
    schemes: ClassVar = ("mixed", "fp32", "fp16", "w8a32")
    runs_on_gpu: ClassVar = True
    packages: ClassVar = ("device.server.litert_gpu_file",)
    marker: ClassVar = "d"

    def load(self, job: Job) -> None:
        """Load the network's .tflite.

        Raises:
            TargetError: there is no GPU, or not all of the network can run on it.
        """
        from device.server.litert_gpu_file import LiteRTGpuFile

        (path,) = self.files(job)
        file = LiteRTGpuFile(path)
        self._file, self.version = file, file.version
