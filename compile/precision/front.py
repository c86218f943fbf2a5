"""The candidates of a search as a table and a figure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from compile.precision.candidate import Candidate, pareto_front
from compile.precision.evaluate_candidates import SCHEMES
from compile.support.atomic import write_atomically


def front_table(candidates: Sequence[Candidate], unit: str, chosen: Candidate) -> pd.DataFrame:
    """A row for each of ``candidates``, the cheapest first."""
    front = {one.number for one in pareto_front(candidates)}
    rows = [
        {
            "candidate": one.number,
            "db": round(one.db, 3),
            "least_db": round(one.least_db, 3),
            unit.replace(" ", "_"): round(one.cost, 4),
            "weight_bytes": one.weight_bytes,
            "on_front": one.number in front,
            "chosen": one is chosen,
            "precisions": one.name,
        }
        for one in sorted(candidates, key=lambda one: one.cost)
        if not one.problem
    ]
    return pd.DataFrame(rows)


def draw_front(
    candidates: Sequence[Candidate], unit: str, title: str, chosen: Candidate, wanted: float
) -> Figure:
    """dB over costs: every candidate, the front, the schemes by name, and what was ``chosen`` of
    those with the dB ``wanted``."""
    good, front = [one for one in candidates if not one.problem], pareto_front(candidates)
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    panel = figure.subplots()
    panel.scatter([x.cost for x in good], [x.db for x in good], 18, "tab:gray", label="candidates")
    panel.step(
        [one.cost for one in front],
        [one.db for one in front],
        "tab:blue",
        where="post",
        marker="o",
        markersize=4,
        label="front",
    )
    for one in good:
        if one.name in SCHEMES:
            panel.plot(one.cost, one.db, "s", color="black", markersize=6)
            panel.annotate(
                one.name, (one.cost, one.db), (6, -11), textcoords="offset points", fontsize=9
            )
    panel.plot(
        chosen.cost,
        chosen.db,
        "*",
        color="tab:orange",
        markersize=15,
        label=f"chosen: {chosen.db:.1f} dB",
    )
    panel.axhline(wanted, color="tab:orange", linewidth=0.8, linestyle="--", label="wanted")
    panel.set(title=title, xlabel=f"{unit} a frame", ylabel="dB to float32, mean of photographs")
    panel.margins(x=0.1)
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right", fontsize=9)
    return figure


def write_front(
    candidates: Sequence[Candidate],
    unit: str,
    title: str,
    chosen: Candidate,
    wanted: float,
    table: Path,
    picture: Path,
) -> None:
    """Write ``table`` as CSV and ``picture`` as PNG.

    Raises:
        OutputError: one cannot be written.
    """
    text = front_table(candidates, unit, chosen).to_csv(index=False)
    write_atomically(table, text.encode())
    stream = io.BytesIO()
    draw_front(candidates, unit, title, chosen, wanted).savefig(stream, format="png", dpi=110)
    write_atomically(picture, stream.getvalue())
