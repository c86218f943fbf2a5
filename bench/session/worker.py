"""An engine in a process of its own, that computes frames when it is told to and sleeps otherwise.

Between its turns a worker is stopped (SIGSTOP): thread pools that spin while they wait for work
would take time from the engine whose turn it is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engines.engine import Engine, Job
from bench.engines.registry import ENGINES
from compile.support.frame import Frame
from compile.support.outcome import WorkerError
from compile.support.worker_process import WorkerProcess

# Some engines compile the network when they start, or with their first frame.
_LONGEST_SECONDS = 600.0


@dataclass(frozen=True)
class Footprint:
    """Of a worker's process, sizes in bytes.

    Attributes:
        peak: resident set at its largest, Python and the engine's libraries included.
        activations: by how much it grew from the loaded network to the end of the first frame;
            None of a GPU, for which the process grows by what the driver's compiler needs.
        start_seconds: from the engine without a network to the end of the first frame.
        files: of the network's files; None where the engine reads none.
        libraries: of the shared libraries that the engine has brought into the process, their
            files' sizes.
    """

    peak: int
    activations: int | None
    start_seconds: float
    files: int | None
    libraries: int


class Worker:
    """A job's process, pinned to ``cores``; it is fresh, and never replaced by another one.

    Attributes:
        job: what it computes.
        version: of the engine.

    Raises:
        WorkerError: the engine is not installed, or cannot load the network.
    """

    def __init__(self, job: Job, cores: Sequence[int]) -> None:
        self.job = job
        self._process = WorkerProcess(_prepare, (job, tuple(cores)))
        try:
            self.version: str = self._process.run(_version, seconds=_LONGEST_SECONDS).get()
        except BaseException:
            self._process.kill()
            raise
        self.sleep()

    def outputs(self, frame: Frame) -> Frame:
        """What the network makes of ``frame``; later frames have the same inputs."""
        return self._ask(_outputs, frame)

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Wall-clock and process CPU seconds of each of ``count`` frames, after one untimed."""
        return self._ask(_time, count)

    def footprint(self) -> Footprint:
        """What the process has needed so far, after its first frame."""
        return self._ask(_footprint)

    def sleep(self) -> None:
        """Stop the process until it is asked again; it has stopped when this returns."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # The next turn tells.
            os.kill(self._process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def close(self) -> None:
        """End the process."""
        self._process.kill()

    def _ask(self, function: Callable[..., Any], *arguments: object) -> Any:
        """What ``function`` returns there; the process works while it is waited for, only then."""
        with contextlib.suppress(ProcessLookupError):  # It tells itself how it ended.
            os.kill(self._process.pid, signal.SIGCONT)
        value = self._process.run(function, *arguments, seconds=_LONGEST_SECONDS).get()
        self.sleep()
        return value


@dataclass
class _Loaded:
    """The engine of a worker's process.

    Attributes:
        job: what it computes.
        engine: with its network loaded.
        peak, resident: bytes of the process until then, and at that moment.
        load_seconds: that it took to load the network.
        mapped: files that the process had mapped before the engine was imported.
        activations: bytes that the first frame has added; 0 before it.
        start_seconds: ``load_seconds`` and those of the first frame; 0 before it.
    """

    job: Job
    engine: Engine
    peak: int
    resident: int
    load_seconds: float
    mapped: set[str]
    activations: int = 0
    start_seconds: float = 0.0


# Of a worker's process.
_loaded: _Loaded


def _prepare(job: Job, cores: tuple[int, ...]) -> None:
    global _loaded
    # Before an engine's runtime is imported: libraries count the cores when they load.
    os.sched_setaffinity(0, cores)
    os.environ["OMP_NUM_THREADS"] = str(job.threads)
    # The command's stdout is for its own JSON: what a user's network prints is not.
    os.dup2(2, 1)
    mapped = _mapped_files()
    try:
        engine = ENGINES[job.engine]()
        engine.import_packages()
    except ModuleNotFoundError as error:
        raise WorkerError(f"not installed ({error.name})") from None
    start = time.perf_counter()
    engine.load(job)
    seconds = time.perf_counter() - start
    _loaded = _Loaded(job, engine, _memory("VmHWM"), _memory("VmRSS"), seconds, mapped)
    # Counts the peak anew (proc_pid_clear_refs(5)).
    Path("/proc/self/clear_refs").write_text("5")


def _version() -> str:
    return _loaded.engine.version


def _outputs(frame: Frame) -> Frame:
    start = time.perf_counter()
    _loaded.engine.set_inputs(frame)
    _loaded.engine.run()
    seconds = _loaded.load_seconds + time.perf_counter() - start
    _loaded.start_seconds = _loaded.start_seconds or seconds
    _loaded.activations = _loaded.activations or _memory("VmHWM") - _loaded.resident
    return _loaded.engine.outputs()


def _footprint() -> Footprint:
    _loaded.peak = max(_loaded.peak, _memory("VmHWM"))
    own = {str(path.resolve()) for path in _loaded.engine.files(_loaded.job)}
    brought = _mapped_files() - _loaded.mapped - own
    return Footprint(
        peak=_loaded.peak,
        activations=None if _loaded.job.on_gpu else _loaded.activations,
        start_seconds=_loaded.start_seconds,
        files=sum(os.path.getsize(path) for path in own) or None,
        libraries=sum(os.path.getsize(path) for path in brought if ".so" in Path(path).name),
    )


def _mapped_files() -> set[str]:
    """The files that are there and mapped."""
    with open("/proc/self/maps") as file:
        paths = {line.split(maxsplit=5)[5].rstrip("\n") for line in file if "/" in line}
    return {path for path in paths if os.path.isfile(path)}


def _time(count: int) -> tuple[list[float], list[float]]:
    engine, wall, cpu = _loaded.engine, [], []
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
