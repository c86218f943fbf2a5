"""Networks of one build that compute photographs at once, each on one core.

One on all cores takes as much of their time for a photograph, but waits for the slowest of them,
and for whatever else needs one.
"""

from __future__ import annotations

import os
import queue
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from compile.artefact.reader import Artefact
from device.runtime.run_artefact import Session, threads_here

MOST = 8
"""Networks at once: each has its activations in memory, 0.1 GB at 768x1280."""


class Networks:
    """The networks that ``photographs`` are sent through: one on all ``threads`` for one
    photograph or on a GPU, else as many as threads.

    Attributes:
        artefact: that they are of.
        sessions: with them.

    Raises:
        ArtefactError: as of :class:`device.runtime.run_artefact.Session`.
        MqnetError: more threads than the cores or the build's limit, or none.
    """

    def __init__(self, artefact: Artefact, threads: int | None, photographs: int) -> None:
        self.artefact = artefact
        total = threads_here(artefact, threads)
        count = min(total, photographs, MOST)
        if artefact.manifest.on_gpu or count == 1:
            if threads is None and photographs > 1:
                # What reads and writes beside the only one needs a core.
                total = max(1, min(total, len(os.sched_getaffinity(0)) - 1))
            self.sessions = [Session(artefact, total, on_this_thread=total == 1)]
        else:
            # In a thread that ends: the calling one may run another network on more threads.
            with ThreadPoolExecutor(1) as loader:
                self.sessions = loader.submit(self._load, count).result()
        self._free: queue.SimpleQueue[Session] = queue.SimpleQueue()
        for session in self.sessions:
            self._free.put(session)

    def _load(self, count: int) -> list[Session]:
        return [Session(self.artefact, 1, on_this_thread=True) for _ in range(count)]

    def run(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """What :meth:`device.runtime.run_artefact.Session.run` gives, by the next network that is
        free. Several of them are for threads that have called
        :func:`device.runtime.run_artefact.use_this_thread`."""
        session = self._free.get()
        try:
            return session.run(image)
        finally:
            self._free.put(session)
