"""Latency of our builds beside other engines, timed in turns in one session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from compile.cli import run_command, set_up_logging, stderr

if TYPE_CHECKING:
    from bench.baselines.engine import Job
    from bench.timing.session import Measured

_BASELINE = ("litert", "mixed")
_FORMAT = 1


@dataclass(frozen=True)
class Options:
    """Time our build for this machine beside other engines: each in a process of its own, pinned,
    their frames taken in turns, with accuracy beside speed.

    Example: python bench/latency.py --against all --size 256x256 --size 768x1280 --threads 2
    """

    target: str = "host"
    """Machine that our build is for; it must be this one."""

    size: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Height x width in pixels, 256x256 unless given; may be repeated. LiteRT has files for 256x256
    and 768x1280."""

    threads: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Threads per frame, and cores that each process is pinned to, 1 unless given; may be
    repeated."""

    against: str = "litert"
    """Other engines by commas, or all: litert, onnxruntime, openvino, pytorch, pytorch-compiled,
    tvm-stock."""

    schemes: str = "all"
    """Quantization schemes, by commas, or all that an engine has."""

    seconds: float = 10
    """Measured time of each engine at each size and number of threads."""

    out: Path = Path("build/latency/run.json")
    """File for the rows, the single times and the environment, as JSON."""

    json: bool = False
    """Print what --out holds to stdout instead of a table."""


def main() -> None:
    """Entry point of `python bench/latency.py`."""
    run_command(Options, _measure)


def _measure(options: Options) -> None:
    set_up_logging(verbose=False)
    import os

    from bench.timing.environment import describe_environment
    from compile.atomic import make_folder, write_atomically
    from compile.build_artefact import parse_size
    from compile.errors import MqnetError

    if options.seconds <= 0:
        raise MqnetError(f"seconds {options.seconds:g} is not a positive number")
    cores = len(os.sched_getaffinity(0))
    numbers = options.threads or (1,)
    for threads in numbers:
        if not 1 <= threads <= cores:
            raise MqnetError(f"threads {threads} is not between 1 and the {cores} cores there are")
    sizes = [parse_size(size) for size in options.size or ("256x256",)]
    networks = _networks(options)
    make_folder(options.out.parent)
    environment = describe_environment()
    results: list[Measured] = []
    for size in sizes:
        for threads in numbers:
            jobs = _jobs(options, networks, size, threads)
            results += _session(jobs, options)
            if any(result.problem == "interrupted" for result in results):
                break
        else:
            continue
        break
    run = {
        "format": _FORMAT,
        "rows": _rows(results, environment),
        "environment": environment,
        "samples": [
            {"engine": r.job.engine, "scheme": r.job.scheme, "size": _text(r.job.size)}
            | {"threads": r.job.threads, "seconds": r.wall}
            for r in results
        ],
    }
    text = json.dumps(run, indent=1)
    write_atomically(options.out, text.encode())
    if options.json:
        print(text)
    else:
        _print_table(run["rows"])
        print(options.out)
    if any(result.problem == "interrupted" for result in results):
        raise KeyboardInterrupt


def _networks(options: Options) -> list[tuple[str, str]]:
    """(engine, scheme) of everything that is asked for, ours first."""
    from bench.baselines import SCHEMES
    from compile.errors import MqnetError

    engines = [*SCHEMES] if options.against == "all" else ["tvm", *options.against.split(",")]
    for engine in engines:
        if engine not in SCHEMES:
            raise MqnetError(f"unknown engine {engine!r}: choose of {', '.join(SCHEMES)}, or all")
    known = {scheme for schemes in SCHEMES.values() for scheme in schemes}
    wanted = known if options.schemes == "all" else set(options.schemes.split(","))
    for scheme in wanted - known:
        raise MqnetError(f"unknown scheme {scheme!r}: choose of {', '.join(sorted(known))}, or all")
    return [
        (engine, scheme)
        for engine in dict.fromkeys(engines)
        for scheme in SCHEMES[engine]
        if scheme in wanted
    ]


def _jobs(
    options: Options, networks: list[tuple[str, str]], size: tuple[int, int], threads: int
) -> list[Job]:
    """What is timed together; our own networks are built first."""
    from bench.baselines.engine import Job
    from compile.build_artefact import BuildRequest, build_artefact
    from compile.phases import Phases

    jobs = []
    for engine, scheme in networks:
        folder = None
        if engine == "tvm":
            folder = options.out.parent / f"{options.target}-{scheme}-{_text(size)}-{threads}"
            stderr.print(f"{scheme}, {_text(size)}, {threads} threads", highlight=False)
            request = BuildRequest(options.target, scheme, size=size, threads=threads, out=folder)
            build_artefact(request, Phases(stderr))
        jobs.append(Job(engine, scheme, size, threads, folder))
    return jobs


def _session(jobs: list[Job], options: Options) -> list[Measured]:
    from bench.timing.session import measure
    from compile.imaging.bundled import bundled_photos
    from compile.imaging.fit_size import fit_photo
    from compile.imaging.read_photo import read_photo
    from compile.mqnet.deployed import Deployed
    from compile.mqnet.weights import load_checkpoint
    from compile.run_pytorch import run_module

    photos = [
        fit_photo(read_photo(path), *jobs[0].size, "resize")[0] for path in bundled_photos("test")
    ]
    network = Deployed(load_checkpoint(None, "ca")).eval()
    references = [run_module(network, photo) for photo in photos]
    title = f"{_text(jobs[0].size)}, {jobs[0].threads} threads: "
    with stderr.status(title) as status:
        return measure(
            jobs, photos, references, options.seconds, lambda text: status.update(title + text)
        )


def _rows(results: list[Measured], environment: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each job; ratios are of one session only, and below 1 where LiteRT is ahead."""
    from bench.timing.environment import load_doubts
    from bench.timing.statistics import doubts, percentile_ms, ratio_interval

    rows = []
    for result in results:
        job = result.job
        row: dict[str, Any] = {
            "engine": job.engine,
            "scheme": job.scheme,
            "size": _text(job.size),
            "threads": job.threads,
            "version": result.version,
        }
        flags = [result.problem] if result.problem else []
        if result.wall:
            session = (r for r in results if (r.job.size, r.job.threads) == (job.size, job.threads))
            base = next((r for r in session if (r.job.engine, r.job.scheme) == _BASELINE), None)
            has_base = base is not None and bool(base.wall)
            row |= {
                "p10_ms": percentile_ms(result.wall, 10),
                "p50_ms": percentile_ms(result.wall, 50),
                "p90_ms": percentile_ms(result.wall, 90),
                "min_ms": percentile_ms(result.wall, 0),
                "cpu_ms": percentile_ms(result.cpu, 50),
                "peak_rss_mb": result.memory.peak / 1e6,
                "activation_mb": result.memory.activations / 1e6,
                "psnr_db": result.psnr_db,
                "ratio_to_litert_mixed": percentile_ms(base.wall, 50)
                / percentile_ms(result.wall, 50)
                if has_base
                else None,
                "ratio_interval": ratio_interval(result.wall, base.wall) if has_base else None,
                "frames": sum(map(len, result.wall)),
            }
            flags += doubts(result.wall) + result.doubts + load_doubts(environment["busy_cores"])
        rows.append(row | {"flags": flags})
    return rows


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(caption="ratio: time of LiteRT mixed / time of the row, with its 95 % interval")
    for column in ("engine", "scheme", "size", "threads"):
        table.add_column(column, no_wrap=True)
    columns = ("p50 ms", "p90 ms", "min ms", "CPU ms", "act. MB", "PSNR dB", "ratio")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("flags", overflow="fold")
    for row in rows:
        names = [row["engine"], row["scheme"], row["size"], str(row["threads"])]
        figures = [""] * len(columns)
        if "p50_ms" in row:
            figures = [
                *(f"{row[name]:.1f}" for name in ("p50_ms", "p90_ms", "min_ms", "cpu_ms")),
                f"{row['activation_mb']:.0f}",
                f"{row['psnr_db']:.1f}",
                "",
            ]
            if row["ratio_to_litert_mixed"] is not None:
                low, high = row["ratio_interval"]
                figures[-1] = f"{row['ratio_to_litert_mixed']:.2f} ({low:.2f}-{high:.2f})"
        table.add_row(*names, *figures, ", ".join(row["flags"]))
    Console(width=140).print(table)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


if __name__ == "__main__":
    main()
