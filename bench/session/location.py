"""Where a session's engines run: this machine, or a device (:mod:`bench.session.device`)."""

from __future__ import annotations

import os
from typing import Protocol

from bench.engines.engine import Job
from bench.session.environment import MachineTimes
from bench.session.worker import Footprint, Worker
from compile.support.frame import Frame


class StartedEngine(Protocol):
    """An engine with its network loaded, wherever that is."""

    @property
    def version(self) -> str | None:
        """Of the engine; None where it cannot be known."""

    def outputs(self, frame: Frame) -> Frame:
        """What the network makes of ``frame``; later frames have the same inputs."""

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Wall-clock seconds of each of ``count`` frames after one untimed, and CPU seconds per
        frame: as many, or one mean, or none where they cannot be had."""

    def footprint(self) -> Footprint | None:
        """What the engine has needed so far; None where that cannot be known."""

    def close(self) -> None:
        """Free what it holds."""


class Location(Protocol):
    """Starts engines and knows what else went on while they were timed."""

    def start(self, job: Job) -> StartedEngine:
        """Load the network of ``job``; raise WorkerError where that cannot be."""

    def flags(self) -> list[str]:
        """Return flags for everything that was measured so far."""


class ThisMachine:
    """Every engine in a process of its own, all pinned to the same ``threads`` cores."""

    def __init__(self, threads: int) -> None:
        self._cores = sorted(os.sched_getaffinity(0))[:threads]
        self._times = MachineTimes()

    def start(self, job: Job) -> Worker:
        """Load the network of ``job`` in a new process."""
        return Worker(job, self._cores)

    def flags(self) -> list[str]:
        """Whether the host of a virtual machine took time from it."""
        return self._times.flags()
