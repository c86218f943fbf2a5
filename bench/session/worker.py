"""An engine in a process of its own, that computes frames when it is told to and sleeps otherwise.

Between its turns a worker is stopped (SIGSTOP): thread pools that spin while they wait for work
would take time from the engine whose turn it is.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.engines import engine_class
from bench.engines.engine import Engine, Job
from bench.session.asked_process import AskedProcess, WorkerError
from compile.support.errors import MqnetError


@dataclass(frozen=True)
class Memory:
    """Of a worker's process, in bytes.

    Attributes:
        peak: resident set at its largest, Python and the engine's libraries included.
        activations: by how much it grew from the loaded network to the end of the first frame;
            None of a GPU, for which the process grows by what the driver's compiler needs.
    """

    peak: int
    activations: int | None


class Worker(AskedProcess):
    """A job's process, pinned to ``cores``.

    Attributes:
        version: of the engine.

    Raises:
        WorkerError: the engine is not installed, or cannot load the network.
    """

    def __init__(self, job: Job, cores: Sequence[int]) -> None:
        super().__init__(_serve, job, tuple(cores))
        self.job = job
        self.version: str = self.greeting
        self.sleep()

    def output(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """H, float32 [H,W,3], for ``photo`` uint8 [H,W,3]; later frames have the same input."""
        return self.ask("output", photo)

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Wall-clock and process CPU seconds of each of ``count`` frames, after one untimed."""
        return self.ask("time", count)

    def memory(self) -> Memory:
        """What the process has needed so far."""
        return self.ask("memory", None)

    def ask(self, question: str, value: object) -> Any:
        """The answer of the process, which works while it is waited for and only then."""
        os.kill(self._process.pid, signal.SIGCONT)
        answer = super().ask(question, value)
        self.sleep()
        return answer

    def sleep(self) -> None:
        """Stop the process until it is asked again; it has stopped when this returns."""
        os.kill(self._process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def close(self) -> None:
        """End the process, which is stopped and could not do so itself."""
        self.kill()


def _serve(job: Job, cores: tuple[int, ...], pipe: Connection) -> None:
    # Before anything is imported: libraries count the cores that they may use when they load.
    os.sched_setaffinity(0, cores)
    os.environ["OMP_NUM_THREADS"] = str(job.threads)
    try:
        engine = engine_class(job.engine)(job)
    except ModuleNotFoundError as error:
        pipe.send((WorkerError, f"not installed ({error.name})"))
        return
    except MqnetError as error:
        pipe.send((WorkerError, str(error)))
        return
    pipe.send((None, engine.version))
    peak, loaded, activations = _memory("VmHWM"), _memory("VmRSS"), 0
    # Counts the peak anew (proc_pid_clear_refs(5)).
    Path("/proc/self/clear_refs").write_text("5")
    while True:
        try:
            question, value = pipe.recv()
        except EOFError:
            return
        if question == "output":
            engine.set_photo(value)
            engine.run()
            activations = activations or _memory("VmHWM") - loaded
            answer: object = engine.output()
        elif question == "time":
            answer = _time(engine, value)
        else:
            peak = max(peak, _memory("VmHWM"))
            answer = Memory(peak, None if job.on_gpu else activations)
        pipe.send((None, answer))


def _time(engine: Engine, count: int) -> tuple[list[float], list[float]]:
    wall, cpu = [], []
    engine.run()
    for _ in range(count):
        start, cpu_start = time.perf_counter(), time.process_time()
        engine.run()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - cpu_start)
    return wall, cpu


def _memory(field: str) -> int:
    """``field`` of /proc/self/status in bytes."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
