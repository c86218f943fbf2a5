"""LiteRT (TFLite), its operations delegated to XNNPACK: the engine that the paper measured with."""

from __future__ import annotations

from bench.baselines.engine import Job
from bench.peer_files import peer_file
from targets.served.litert_file import LiteRTFile


def litert_name(job: Job) -> str:
    """Name of the network's file among those of ``bench/convert/litert.py``."""
    return f"litert-{job.scheme}-{job.size[0]}x{job.size[1]}.tflite"


class LiteRT(LiteRTFile):
    """A file of ``bench/convert/litert.py``."""

    def __init__(self, job: Job) -> None:
        super().__init__(peer_file(litert_name(job)), job.threads)
