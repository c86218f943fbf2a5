"""The table that a latency session ends with."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def print_rows(rows: list[dict[str, Any]], environment: dict[str, Any]) -> None:
    """Print ``rows`` of a session that ran in ``environment`` to stdout."""
    table = Table(
        title=environment["cpu"] if "device" in environment else None,
        caption="ratio: time of LiteRT mixed / time of the row, with its 95 % interval",
    )
    for column in ("engine", "scheme", "size", "threads"):
        table.add_column(column, no_wrap=True)
    columns = ("p50 ms", "p90 ms", "min ms", "CPU ms", "act. MB", "plan MB", "PSNR dB", "ratio")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("flags", overflow="fold")
    for row in rows:
        names = [row["engine"], row["scheme"], row["size"], str(row["threads"])]
        figures = [""] * len(columns)
        if "p50_ms" in row:
            figures = [
                *(_text(row[name], 1) for name in ("p50_ms", "p90_ms", "min_ms", "cpu_ms")),
                _text(row["activation_mb"], 0),
                _text(row["planned_activation_mb"], 1),
                _text(row["psnr_db"], 1),
                "",
            ]
            if row["ratio_to_litert_mixed"] is not None:
                low, high = row["ratio_interval"]
                figures[-1] = f"{row['ratio_to_litert_mixed']:.2f} ({low:.2f}-{high:.2f})"
        table.add_row(*names, *figures, ", ".join(row["flags"]))
    Console(width=140).print(table)


def _text(figure: float | None, decimals: int) -> str:
    return "" if figure is None else f"{figure:.{decimals}f}"
