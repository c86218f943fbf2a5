"""The rows of a session's file: what was measured of each job, and why not to rely on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.session.environment import load_flags
from bench.session.interleave import Measured
from bench.session.run_file import BASELINE, Row, RunFile, Sample
from bench.session.statistics import flags_of_times, percentile_ms, ratio_interval
from device.runtime.gpu_name import POCL_WARNING, SOFTWARE_WARNING


def make_run(results: Sequence[Measured], environment: dict[str, Any]) -> RunFile:
    """Return the file of a session that found ``results`` in ``environment``."""
    samples = tuple(
        Sample(
            result.job.engine,
            result.job.scheme,
            size_text(result.job.size),
            result.job.threads,
            tuple(map(tuple, result.wall)),
            result.job.build,
        )
        for result in results
    )
    return RunFile(make_rows(results, environment), environment, samples)


def make_rows(results: Sequence[Measured], environment: dict[str, Any]) -> tuple[Row, ...]:
    """Return a row for each job; ratios are of one session only, and below 1 where LiteRT is
    ahead."""
    return tuple(_row(result, _baseline(result, results), environment) for result in results)


def size_text(size: tuple[int, int]) -> str:
    """Height and width as "256x256"."""
    return f"{size[0]}x{size[1]}"


def _baseline(result: Measured, results: Sequence[Measured]) -> Measured | None:
    """What ``result`` is compared with: of the same size and number of threads, and measured."""
    for other in results:
        is_baseline = (other.job.engine, other.job.scheme) == BASELINE
        is_beside = (other.job.size, other.job.threads) == (result.job.size, result.job.threads)
        if is_baseline and is_beside and other.wall:
            return other
    return None


def _row(result: Measured, baseline: Measured | None, environment: dict[str, Any]) -> Row:
    job, wall, needed = result.job, result.wall, result.footprint
    network: dict[str, Any] = {
        "engine": job.engine,
        "scheme": job.scheme,
        "size": size_text(job.size),
        "threads": job.threads,
        "build": job.build,
        "version": result.version,
    }
    flags = _labels(environment) + ([result.problem] if result.problem else [])
    warnings = POCL_WARNING, SOFTWARE_WARNING
    flags += [warning for warning in warnings if warning in (result.version or "")]
    if not wall:
        return Row(**network, flags=tuple(flags))
    flags += flags_of_times(wall) + result.flags + load_flags(environment["busy_cores"])
    ratio = interval = None
    if baseline is not None:
        ratio = percentile_ms(baseline.wall, 50) / percentile_ms(wall, 50)
        interval = ratio_interval(wall, baseline.wall)
    return Row(
        **network,
        p10_ms=percentile_ms(wall, 10),
        p50_ms=percentile_ms(wall, 50),
        p90_ms=percentile_ms(wall, 90),
        min_ms=percentile_ms(wall, 0),
        cpu_ms=percentile_ms(result.cpu, 50) if any(result.cpu) else None,
        start_ms=None if needed is None else needed.start_seconds * 1e3,
        file_mb=_megabytes(None if needed is None else needed.files),
        library_mb=_megabytes(None if needed is None else needed.libraries),
        peak_rss_mb=_megabytes(None if needed is None else needed.peak),
        activation_mb=_megabytes(None if needed is None else needed.activations),
        planned_activation_mb=_megabytes(job.planned_bytes),
        weight_mb=_megabytes(job.weight_bytes),
        coverage=job.coverage,
        psnr_db=result.psnr_db,
        ratio_to_litert_mixed=ratio,
        ratio_interval=interval,
        frames=sum(map(len, wall)),
        flags=tuple(flags),
    )


def _labels(environment: dict[str, Any]) -> list[str]:
    """What every row has to say for itself, measured or not."""
    if environment["emulated"] is None:
        return ["the device does not say what it is"]
    if environment["emulated"]:
        return [f"EMULATED by {environment['emulated']}: says nothing about any device's speed"]
    return []


def _megabytes(size: int | None) -> float | None:
    return None if size is None else size / 1e6
