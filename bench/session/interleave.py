"""Times several engines in turns, so that whatever the machine does, it does to all of them."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.engines.engine import Job
from bench.session.location import Location, StartedEngine, ThisMachine
from bench.session.worker import Footprint
from compile.imaging.compare_outputs import compare_pictures
from compile.support.frame import Frame
from compile.support.outcome import WorkerError

Comparison = Callable[[Frame, Frame], float]
"""The dB of a network's outputs against others."""

_SEED = 0
# Long enough that the caches are the engine's own again, short enough for many turns.
_VISIT_SECONDS, _MOST_FRAMES = 0.25, 8
_WARM_UP_FRAMES = 3
# A round lets every engine have this much more time; one whose visit takes longer waits for its
# next until it is due again.
_ROUND_SECONDS = 0.4


@dataclass
class Measured:
    """What a session found out about one job.

    Attributes:
        job: what was timed.
        version: of the engine; None where it is not known.
        wall, cpu: seconds of every frame, a list for every visit; CPU seconds may be fewer, or
            none.
        footprint: of the process; None where it is not known.
        psnr_db: mean over the frames against PyTorch float32, in mu-law light of pictures.
        problem: why there is nothing, or nothing more; "" where all went well.
        flags: of the machine while it was measured.
    """

    job: Job
    version: str | None = ""
    wall: list[list[float]] = field(default_factory=list)
    cpu: list[list[float]] = field(default_factory=list)
    footprint: Footprint | None = None
    psnr_db: float | None = None
    problem: str = ""
    flags: list[str] = field(default_factory=list)


def measure(
    jobs: Sequence[Job],
    frames: Sequence[Frame],
    references: Sequence[Frame],
    seconds: float,
    report: Callable[[str], None],
    location: Location | None = None,
    compare: Comparison = compare_pictures,
) -> list[Measured]:
    """Time ``jobs``, all of one size and number of threads, about ``seconds`` each.

    ``references`` are what PyTorch makes of ``frames``; ``compare`` gives the dB of other outputs
    against one. ``report`` is told what happens. They run on this machine unless another
    ``location`` is given. Ctrl-C ends the session; what there is by then is returned, and marked.
    """
    where: Location = ThisMachine(jobs[0].threads) if location is None else location
    results = [Measured(job) for job in jobs]
    workers: dict[int, StartedEngine] = {}
    counts: dict[int, int] = {}
    try:
        for index, result in enumerate(results):
            report(f"{result.job.engine} {result.job.scheme} starts")
            try:
                workers[index] = where.start(result.job)
                _prepare(workers[index], result, frames, references, compare)
                counts[index] = _frames_per_visit(workers[index])
            except WorkerError as error:
                _drop(workers, index, result, error)
        _take_turns(workers, results, counts, seconds, report)
    except KeyboardInterrupt:
        for result in results:
            result.problem = result.problem or "interrupted"
    finally:
        for worker in workers.values():
            worker.close()
    for result in results:
        result.flags = where.flags()
    return results


def _prepare(
    worker: StartedEngine,
    result: Measured,
    frames: Sequence[Frame],
    references: Sequence[Frame],
    compare: Comparison,
) -> None:
    result.version = worker.version
    agreements = [
        compare(worker.outputs(frame), reference)
        for frame, reference in zip(frames, references, strict=True)
    ]
    result.psnr_db = float(np.mean(agreements))
    result.footprint = worker.footprint()


def _frames_per_visit(worker: StartedEngine) -> int:
    wall, _ = worker.time_frames(1)
    if wall[0] < _VISIT_SECONDS:
        wall, _ = worker.time_frames(_WARM_UP_FRAMES)
    return int(np.clip(_VISIT_SECONDS / min(wall), 1, _MOST_FRAMES))


def _take_turns(
    workers: dict[int, StartedEngine],
    results: list[Measured],
    frames: dict[int, int],
    seconds: float,
    report: Callable[[str], None],
) -> None:
    """Visit all workers, in another order each time, until each has had its seconds."""
    order = random.Random(_SEED)
    used = dict.fromkeys(workers, 0.0)
    rounds = math.ceil(seconds / _ROUND_SECONDS)
    for number in range(rounds):
        report(f"round {number + 1} of {rounds}")
        due = [index for index in workers if used[index] <= number * _ROUND_SECONDS]
        for index in order.sample(due, len(due)):
            begin = time.monotonic()
            try:
                wall, cpu = workers[index].time_frames(frames[index])
            except WorkerError as error:
                _drop(workers, index, results[index], error)
                continue
            used[index] += time.monotonic() - begin
            results[index].wall.append(wall)
            results[index].cpu.append(cpu)


def _drop(
    workers: dict[int, StartedEngine], index: int, result: Measured, error: WorkerError
) -> None:
    result.problem = str(error)
    if index in workers:
        workers.pop(index).close()
