"""Times photographs from file to file, and the network alone, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from compile.artefact.reader import Artefact
from compile.imaging.fit_size import fit_photo
from compile.imaging.read_photo import read_photo
from compile.imaging.write_hdr import HdrOptions
from compile.support.scratch_folder import scratch_folder
from device.runtime.infer_photos import infer_photos
from device.runtime.networks import Networks
from device.runtime.run_artefact import Session, use_threads

# Seconds: TVM's own threads look for work for so long after a frame, and photographs have none.
_UNTIL_THREADS_SLEEP = 1.0


@dataclass(frozen=True)
class PhotographRate:
    """Medians over the turns.

    Attributes:
        format: of the files that were written.
        threads: of the network.
        frames_per_second: of the network alone.
        photographs_per_second: from file to file.
        share: the latter by the former.
        frame_cpu_ms: CPU time of the process for a frame of the network alone.
        photograph_cpu_ms: the same for a photograph, network included.
    """

    format: str
    threads: int
    frames_per_second: float
    photographs_per_second: float
    share: float
    frame_cpu_ms: float
    photograph_cpu_ms: float


def measure_photographs(
    artefact: Artefact,
    threads: int | None,
    photos: Sequence[Path],
    kind: str,
    hdr: HdrOptions,
    count: int,
    turns: int,
) -> PhotographRate:
    """Send ``count`` photographs through ``artefact`` and as many frames through its network, in
    ``turns`` turns.

    Raises:
        MqnetError: a photograph or the build is none, or a file cannot be written.
    """
    session, networks = Session(artefact, threads), Networks(artefact, threads, count)
    quiet = Console(quiet=True)
    frames = [fit_photo(read_photo(photo, artefact.size), *artefact.size, "resize")[0]
              for photo in photos]  # fmt: skip

    def network() -> None:
        use_threads(session.threads)  # Several networks have other words with TVM.
        for number in range(count):
            session.run(frames[number % len(frames)])

    with scratch_folder("mqnet-photographs-") as folder:
        outputs = [
            (photos[number % len(photos)], folder / f"{number}.{kind}") for number in range(count)
        ]

        def files() -> None:
            for result in infer_photos(networks, outputs, "resize", hdr, "all", quiet):
                if result.error is not None:
                    raise result.error

        session.run(frames[0])
        alone, whole = [], []
        for _ in range(turns):
            alone.append(_timed(network))
            time.sleep(_UNTIL_THREADS_SLEEP)
            whole.append(_timed(files))
    frame, frame_cpu = (statistics.median(column) / count for column in zip(*alone, strict=True))
    photo, photo_cpu = (statistics.median(column) / count for column in zip(*whole, strict=True))
    return PhotographRate(
        format=kind,
        threads=session.threads,
        frames_per_second=1 / frame,
        photographs_per_second=1 / photo,
        share=frame / photo,
        frame_cpu_ms=frame_cpu * 1e3,
        photograph_cpu_ms=photo_cpu * 1e3,
    )


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the wall clock, and of the CPU."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu
