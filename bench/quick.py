"""One ratio in a minute: the compiled network against PyTorch eager float32, in one run."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from compile.support.cli import run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Time the built-in schedules of `mixed` against PyTorch eager float32.

    Both run in one process, pinned to the first cores, their frames interleaved in random order.
    """

    size: str = "256x256"
    """Height x width in pixels."""

    threads: int = 1
    """Threads per frame, and cores that the process is pinned to."""

    runs: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 30
    """Timed frames of each engine, after 3 that are not timed."""

    json: bool = False
    """Print the rows as JSON to stdout instead of a table."""


@dataclass(frozen=True)
class Row:
    """One engine: milliseconds per frame and agreement with PyTorch float32."""

    engine: str
    scheme: str
    size: str
    threads: int
    p50_ms: float
    p90_ms: float
    min_ms: float
    psnr_db: float | None
    speedup: float


def main() -> None:
    """Entry point of `python bench/quick.py`."""
    run_command(Options, _bench)


def _bench(options: Options) -> None:
    set_up_logging(verbose=False)
    cores = sorted(os.sched_getaffinity(0))[: options.threads]
    os.sched_setaffinity(0, cores)

    import numpy as np
    import torch

    from compile.build_network import BuildRequest, build_network, parse_size
    from compile.imaging.bundled import bundled_photos
    from compile.imaging.decode_hdr import decode_hdr, mu_law
    from compile.imaging.fit_size import fit_photo
    from compile.imaging.metrics import psnr
    from compile.imaging.read_photo import read_photo
    from compile.networks.export_wrapper import ExportWrapper
    from compile.networks.mqnet.checkpoints import load_checkpoint
    from compile.networks.mqnet.run_pytorch import run_module
    from compile.support.progress import Progress
    from device.runtime.run_artefact import Session

    size = parse_size(options.size)
    torch.set_num_threads(options.threads)
    request = BuildRequest(
        target="host",
        size=size,
        threads=options.threads,
        out=Path("build") / f"quick-{size[0]}x{size[1]}-{options.threads}",
    )
    session = Session(build_network(request, Progress(stderr)))
    frame, _ = fit_photo(read_photo(bundled_photos("test")[0]), *size, "resize")
    network = ExportWrapper(load_checkpoint(None, "ca")).eval()
    engines = {
        ("tvm", "mixed"): lambda: session.run(frame)[0],
        ("pytorch eager", "fp32"): lambda: run_module(network, frame),
    }
    seconds = _interleaved(list(engines.values()), options.runs)
    outputs = [mu_law(decode_hdr(engine())) for engine in engines.values()]
    baseline = np.median(seconds[-1])
    rows = [
        Row(
            engine,
            scheme,
            f"{size[0]}x{size[1]}",
            options.threads,
            p50_ms=float(np.percentile(times, 50) * 1e3),
            p90_ms=float(np.percentile(times, 90) * 1e3),
            min_ms=float(np.min(times) * 1e3),
            psnr_db=None if output is outputs[-1] else psnr(output, outputs[-1]),
            speedup=float(baseline / np.median(times)),
        )
        for (engine, scheme), times, output in zip(engines, seconds, outputs, strict=True)
    ]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print_table(rows)


def _interleaved(engines: list[Callable[[], object]], runs: int) -> list[list[float]]:
    """Seconds of ``runs`` frames of each engine, in random order after a warm-up."""
    seconds: list[list[float]] = [[] for _ in engines]
    for engine in engines * 3:
        engine()
    order = [index for index in range(len(engines)) for _ in range(runs)]
    random.Random(0).shuffle(order)
    for index in order:
        start = time.perf_counter()
        engines[index]()
        seconds[index].append(time.perf_counter() - start)
    return seconds


def _print_table(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for column in ("engine", "scheme", "size", "threads"):
        table.add_column(column, no_wrap=True)
    for column in ("p50 ms", "p90 ms", "min ms", "PSNR dB", "speed-up"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        figures = [f"{value:.1f}" for value in (row.p50_ms, row.p90_ms, row.min_ms)]
        agreement = "reference" if row.psnr_db is None else f"{row.psnr_db:.1f}"
        names = [row.engine, row.scheme, row.size, str(row.threads)]
        table.add_row(*names, *figures, agreement, f"{row.speedup:.2f}x")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
