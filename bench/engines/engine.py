"""What a latency session asks of an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Job:
    """One network to be timed, as plain data that a worker process is given.

    Attributes:
        engine, scheme: by name.
        size: (height, width) in pixels.
        threads: per frame.
        artefact: folder of our own build; None for other engines.
        planned_bytes: of activations, which our own build's memory plan fixes; None for other
            engines, which do not tell.
        on_gpu: whether a GPU computes, whose memory is not that of the process.
    """

    engine: str
    scheme: str
    size: tuple[int, int]
    threads: int
    artefact: Path | None = None
    planned_bytes: int | None = None
    on_gpu: bool = False


class Engine(Protocol):
    """A network in an engine, in a process of its own that is pinned to ``job.threads`` cores.

    What each engine would do once per photograph anyway (bytes to its input format) happens in
    ``set_photo`` and is not timed.
    """

    version: str
    """Of the engine's package."""

    def __init__(self, job: Job) -> None:
        """Load the network; raise MqnetError where its file is missing or damaged."""

    def set_photo(self, photo: NDArray[np.uint8]) -> None:
        """Take ``photo``, uint8 [H,W,3], as the input of the runs that follow."""

    def run(self) -> None:
        """Compute one frame: this is timed."""

    def output(self) -> NDArray[np.float32]:
        """H of the last frame, float32 [H,W,3]."""
