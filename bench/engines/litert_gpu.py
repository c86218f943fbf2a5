"""LiteRT on the GPU: its WebGPU accelerator, which needs a driver of Vulkan."""

from __future__ import annotations

from bench.engines.engine import Job
from bench.peers.peer_files import litert_name, peer_file
from device.server.litert_gpu_file import LiteRTGpuFile


class LiteRTGpu(LiteRTGpuFile):
    """A file of ``bench/peers/convert_litert.py``."""

    def __init__(self, job: Job) -> None:
        super().__init__(peer_file(litert_name(job.scheme, job.size)))
