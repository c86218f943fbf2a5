"""LiteRT (TFLite), its operations delegated to XNNPACK: the engine that the paper measured with."""

from __future__ import annotations

from bench.engines.engine import Job
from bench.peers.peer_files import litert_name, peer_file
from device.server.litert_file import LiteRTFile


class LiteRT(LiteRTFile):
    """A file of ``bench/peers/convert_litert.py``."""

    def __init__(self, job: Job) -> None:
        super().__init__(peer_file(litert_name(job.scheme, job.size)), job.threads)
