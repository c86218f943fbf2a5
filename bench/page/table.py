"""The rows of a session as a table to be read."""

from __future__ import annotations

import pandas as pd

# Column of the file -> heading, and the decimals that mean something.
_FIGURES = {
    "p10_ms": ("p10", 1),
    "p50_ms": ("p50", 1),
    "p90_ms": ("p90", 1),
    "min_ms": ("min", 1),
    "cpu_ms": ("CPU", 1),
    "activation_mb": ("act. MB", 0),
    "planned_activation_mb": ("plan MB", 1),
    "peak_rss_mb": ("peak MB", 0),
    "start_ms": ("start ms", 0),
    "file_mb": ("file MB", 1),
    "library_mb": ("library MB", 1),
    "psnr_db": ("PSNR dB", 1),
    "ratio_to_litert_mixed": ("ratio", 2),
}


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """``rows`` (of :meth:`bench.session.run_file.RunFile.table`), all as text; "" where there is no
    figure."""
    names = ["engine", "scheme", "build", "size", "threads"]
    if not rows["build"].any():
        names.remove("build")
    table = rows[names].astype(str)
    for name, (heading, decimals) in _FIGURES.items():
        table[heading] = rows[name].map(lambda v, d=decimals: "" if pd.isna(v) else f"{v:.{d}f}")
    table["95 %"] = [f"{v[0]:.2f}-{v[1]:.2f}" if v else "" for v in rows["ratio_interval"]]
    table["flags"] = rows["flags"].map(", ".join)
    return table
