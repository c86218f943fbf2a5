"""A regret as a table on a terminal, as CSV and as a chart."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from rich.table import Table

from bench.exhaustive.find_regret import Regrets
from bench.exhaustive.regret_rows import ALL_KERNELS, summarize
from compile.support.atomic import atomic_path
from compile.support.tables import print_table

_EMULATED = "EMULATED cycles, no times"


def regret_files(folder: Path, target: str) -> tuple[Path, Path]:
    """Return the CSV and the PNG of ``target`` in ``folder``."""
    return folder / f"regret-{target}.csv", folder / f"regret-{target}.png"


def write_regret(regrets: Regrets, folder: Path) -> None:
    """Write the CSV and the PNG to ``folder``.

    Raises:
        OutputError: they cannot be written.
    """
    rows = [
        {
            "target": regrets.target,
            "start": row.start,
            "kernel": row.kernel,
            "family": row.family,
            "configurations": row.configurations,
            "trials": trials,
            "seed": seed,
            "regret": regret,
        }
        for row in regrets.rows
        for trials, by_seed in row.by_trials.items()
        for seed, regret in enumerate(by_seed)
    ]
    csv, png = regret_files(folder, regrets.target)
    with atomic_path(csv) as path:
        pd.DataFrame(rows).to_csv(path, index=False, float_format="%.5f")
    with atomic_path(png) as path:
        regret_figure(regrets).savefig(path, dpi=100)


def regret_figure(regrets: Regrets) -> Figure:
    """Draw median and worst regret of kernels alone, and the worst of all in one session, over the
    number of candidates, for each start; and MetaSchedule's generic space, kernel by kernel."""
    has_generic = any(row.ratio is not None for row in regrets.generic)
    figure = Figure(figsize=(11 if has_generic else 9, 5), layout="constrained")
    panels = figure.subplots(1, 2 if has_generic else 1, squeeze=False)[0]
    summary = summarize(regrets.rows)
    for number, start in enumerate(dict.fromkeys(one.start for one in summary)):
        own = [one for one in summary if one.start == start]
        trials = [one.trials for one in own]
        lines = [
            ([one.median for one in own], "o-", "a kernel, median"),
            ([one.worst for one in own], "o:", "a kernel, worst"),
        ]
        for row in regrets.rows:
            if (row.start, row.kernel) == (start, ALL_KERNELS):
                worst = [max(row.by_trials[count]) for count in trials]
                lines.append((worst, "s--", "one session of all, worst"))
        for values, style, what in lines:
            panels[0].plot(
                trials,
                [100 * value for value in values],
                style,
                color=f"C{number}",
                label=f"{start}, {what}",
            )
    panels[0].set(
        title=f"{regrets.target}: best found over best of all",
        xlabel="candidates of a kernel",
        ylabel="takes longer by, %",
        ylim=(0, None),
    )
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    panels[0].grid(alpha=0.3)
    if has_generic:
        rows = [row for row in regrets.generic if row.ratio is not None]
        panels[1].barh([row.kernel for row in rows], [row.ratio for row in rows], color="C7")
        panels[1].axvline(1, color="k", linewidth=1)
        panels[1].invert_yaxis()
        panels[1].set(
            title=f"MetaSchedule's generic space, {rows[0].trials} candidates",
            xlabel="its best time over the best of ours",
        )
    if regrets.emulated:
        figure.suptitle(_EMULATED, fontsize=9)
    return figure


def print_regret(regrets: Regrets) -> None:
    """Print both tables to stdout."""
    about = f" ({_EMULATED})" if regrets.emulated else ""
    print_table(_regret_table(regrets, f"{regrets.target} on {regrets.device}{about}"))
    if regrets.generic:
        print_table(_generic_table(regrets))


def _regret_table(regrets: Regrets, about: str) -> Table:
    trials = list(regrets.rows[0].by_trials)
    table = Table(
        title=f"{about}: by how much the best found takes longer than the best of all",
        caption="median / worst over the seeds, in per cent, behind so many candidates",
        title_justify="left",
    )
    for column in ("start", "kernel"):
        table.add_column(column)
    for column in ("of", *map(str, trials)):
        table.add_column(column, justify="right")
    for row in regrets.rows:
        cells = [_cell(row.by_trials[number]) for number in trials]
        table.add_row(row.start, row.kernel, str(row.configurations), *cells)
    table.add_section()
    summary = {(one.start, one.trials): one for one in summarize(regrets.rows)}
    for start in dict.fromkeys(row.start for row in regrets.rows):
        found = [summary[start, number] for number in trials]
        cells = [f"{100 * one.median:.1f} / {100 * one.worst:.1f}" for one in found]
        table.add_row(start, "median and worst kernel", "", *cells, style="bold")
    return table


def _cell(regrets: tuple[float, ...]) -> str:
    median = float(pd.Series(regrets).median())
    return f"{100 * median:.1f} / {100 * max(regrets):.1f}"


def _generic_table(regrets: Regrets) -> Table:
    table = Table(
        title="MetaSchedule's generic space and evolutionary search, on the same kernels",
        caption="its best over the best of ours; minutes of so many candidates, its and ours",
        title_justify="left",
    )
    table.add_column("kernel")
    for column in ("candidates", "ran", "its best / ours", "minutes", "ours"):
        table.add_column(column, justify="right")
    for row in regrets.generic:
        ratio = "none is right" if row.ratio is None else f"{row.ratio:.2f}"
        minutes = f"{row.minutes:.1f}", f"{row.our_minutes:.1f}"
        table.add_row(row.kernel, str(row.trials), str(row.measured), ratio, *minutes)
    return table
