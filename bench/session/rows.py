"""The rows of a session's file: what was measured of each job, and why not to rely on it."""

from __future__ import annotations

from typing import Any

from bench.session.environment import load_doubts
from bench.session.session import Measured
from bench.session.statistics import doubts, percentile_ms, ratio_interval
from device.runtime.gpu_name import POCL_WARNING, SOFTWARE_WARNING

_BASELINE = ("litert", "mixed")


def make_rows(results: list[Measured], environment: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each job; ratios are of one session only, and below 1 where LiteRT is ahead."""
    rows = []
    for result in results:
        job = result.job
        row: dict[str, Any] = {
            "engine": job.engine,
            "scheme": job.scheme,
            "size": size_text(job.size),
            "threads": job.threads,
            "version": result.version,
        }
        flags = _labels(environment) + ([result.problem] if result.problem else [])
        warnings = POCL_WARNING, SOFTWARE_WARNING
        flags += [warning for warning in warnings if warning in (result.version or "")]
        if result.wall:
            session = (r for r in results if (r.job.size, r.job.threads) == (job.size, job.threads))
            base = next((r for r in session if (r.job.engine, r.job.scheme) == _BASELINE), None)
            has_base = base is not None and bool(base.wall)
            row |= {
                "p10_ms": percentile_ms(result.wall, 10),
                "p50_ms": percentile_ms(result.wall, 50),
                "p90_ms": percentile_ms(result.wall, 90),
                "min_ms": percentile_ms(result.wall, 0),
                "cpu_ms": percentile_ms(result.cpu, 50) if any(result.cpu) else None,
                "peak_rss_mb": _megabytes(result.memory and result.memory.peak),
                "activation_mb": _megabytes(result.memory and result.memory.activations),
                "planned_activation_mb": _megabytes(job.planned_bytes),
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


def size_text(size: tuple[int, int]) -> str:
    """Height and width as "256x256"."""
    return f"{size[0]}x{size[1]}"


def _labels(environment: dict[str, Any]) -> list[str]:
    """What every row has to say for itself, measured or not."""
    if environment["emulated"] is None:
        return ["the device does not say what it is"]
    if environment["emulated"]:
        return [f"EMULATED by {environment['emulated']}: says nothing about any device's speed"]
    return []


def _megabytes(size: int | None) -> float | None:
    return None if size is None else size / 1e6
