"""The table that a latency session ends with."""

from __future__ import annotations

from rich.table import Table

from bench.session.run_file import Row, RunFile
from compile.support.tables import print_table


def print_rows(run: RunFile) -> None:
    """Print the rows of ``run`` to stdout."""
    table = Table(
        title=run.cpu if "device" in run.environment else None,
        caption="ratio: time of LiteRT mixed / time of the row, with its 95 % interval",
    )
    for column in ("engine and scheme", "size", "threads"):
        table.add_column(column, no_wrap=True)
    columns = [
        *("p50 ms", "p90 ms", "min ms", "CPU ms", "act. MB", "plan MB", "peak MB", "file MB"),
        *("start ms", "PSNR dB", "ratio"),
    ]
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("flags", overflow="fold")
    for row in run.rows:
        names = [row.name, row.size, str(row.threads)]
        figures = _figures(row) if row.is_measured else [""] * len(columns)
        table.add_row(*names, *figures, ", ".join(row.flags))
    print_table(table)


def _figures(row: Row) -> list[str]:
    ratio = ""
    if row.ratio_interval is not None:
        low, high = row.ratio_interval
        ratio = f"{row.ratio_to_litert_mixed:.2f} ({low:.2f}-{high:.2f})"
    return [
        _text(row.p50_ms, 1),
        _text(row.p90_ms, 1),
        _text(row.min_ms, 1),
        _text(row.cpu_ms, 1),
        _text(row.activation_mb, 0),
        _text(row.planned_activation_mb, 1),
        _text(row.peak_rss_mb, 0),
        _text(row.file_mb, 1),
        _text(row.start_ms, 0),
        _text(row.psnr_db, 1),
        ratio,
    ]


def _text(figure: float | None, decimals: int) -> str:
    return "" if figure is None else f"{figure:.{decimals}f}"
