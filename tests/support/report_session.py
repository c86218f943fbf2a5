"""A benchmark session as its file holds it."""

from __future__ import annotations


def row(engine: str, scheme: str, size: str, threads: int, p50: float, ratio: float | None) -> dict:
    return {
        **{"engine": engine, "scheme": scheme, "size": size, "threads": threads, "version": "1"},
        **{"p10_ms": 0.9 * p50, "p50_ms": p50, "p90_ms": 1.2 * p50, "min_ms": 0.8 * p50},
        **{"cpu_ms": p50 * threads, "peak_rss_mb": 300.4, "activation_mb": 20.6, "psnr_db": 59.87},
        **{"start_ms": 41.2, "file_mb": 1.31, "library_mb": 4.52},
        "planned_activation_mb": 3.21 if engine == "tvm" else None,
        "ratio_to_litert_mixed": ratio,
        "ratio_interval": None if ratio is None else [ratio - 0.02, ratio + 0.02],
        "flags": [],
    }


def session() -> dict:
    """A file of two sizes, two numbers of threads, and an engine that is not installed."""
    rows = []
    for size, factor in (("256x256", 1), ("768x1280", 15)):
        for threads in (1, 2):
            rows += [
                row("tvm", "mixed", size, threads, 6.25 * factor / threads, 2.0),
                row("litert", "mixed", size, threads, 12.5 * factor / threads, 1.0),
                row("litert", "fp32", size, threads, 17.5 * factor / threads, 0.71),
            ]
    missing = {k: rows[0][k] for k in ("engine", "scheme", "size", "threads", "version")}
    rows.append(missing | {"engine": "openvino", "flags": ["not installed (openvino)"]})
    return {
        "format": 1,
        "rows": rows,
        "environment": {"cpu": "Some CPU <b>", "cores": 2, "versions": {"torch": "2.13.0"}},
        "samples": [
            {k: r[k] for k in ("engine", "scheme", "size", "threads")}
            | {"seconds": [[r.get("p50_ms", 0) / 1e3] * 4] * 3}
            for r in rows
        ],
    }
