"""The means of all metrics as a table on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from bench.quality.quality_metrics import METRICS, MU_PSNR
from compile.support.tables import print_table


def print_accuracy(rows: Iterable[dict[str, Any]]) -> None:
    """Print ``rows`` of :func:`bench.quality.measure_accuracy.measure_accuracy` to stdout."""
    names = ("pairs", "engine", "scheme", "attention")
    titles = (metric.title for metric in METRICS.values())
    others = ("clipped mu-PSNR dB", "1 dB behind sRGB", "against fp32 dB", "weights kB")
    table = _table(names, (*titles, *others))
    for row in rows:
        size, agreement = row["weight_bytes"], row["fp32_psnr_db"]
        table.add_row(
            *(row[name] for name in names),
            *(
                f"{row[name]:.{metric.decimals}f}" if name in row else ""
                for name, metric in METRICS.items()
            ),
            f"{row['clipped_mu_psnr_db']:.2f}",
            str(row["pairs_behind_srgb"]),
            "" if agreement is None else f"{agreement:.1f}",
            "" if size is None else f"{size / 1e3:,.0f}",
        )
    print_table(table)


def print_ranking(rows: Iterable[dict[str, Any]]) -> None:
    """Print ``rows`` of :func:`bench.quality.rank_attentions.rank_attentions`, each with the set of
    its ``pairs``."""
    names = ("pairs", "scheme", "attention")
    table = _table(names, ("mu-PSNR dB", "behind the best, dB", "standard error"))
    for row in rows:
        numbers = (row[name] for name in (MU_PSNR, "behind_db", "standard_error_db"))
        table.add_row(
            *(row[name] for name in names),
            *(f"{number:.2f}" for number in numbers),
        )
    print_table(table)


def print_network_accuracy(rows: Iterable[dict[str, Any]]) -> None:
    """Print ``rows`` of :func:`bench.quality.network_accuracy.measure_network_accuracy`."""
    names = ("engine", "scheme", "network")
    table = _table(names, ("against fp32 dB", "least", "weights kB"))
    for row in rows:
        size = row["weight_bytes"]
        table.add_row(
            *(row[name] for name in names),
            *(_decibels(row[name]) for name in ("fp32_psnr_db", "least_fp32_psnr_db")),
            "" if size is None else f"{size / 1e3:,.0f}",
        )
    print_table(table)


def _table(names: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table()
    for column in names:
        table.add_column(column, no_wrap=True)
    for column in numbers:
        table.add_column(column, justify="right")
    return table


def _decibels(value: float | None) -> str:
    return "equal" if value is None else f"{value:.1f}"
