"""The charts of a session, as matplotlib figures: a row for each network, so that no two names can
ever meet."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.engines.registry import ENGINES, is_ours
from bench.page.drawing import INK, LINES, OTHERS, OURS, PAPER, QUIET, new_chart, plain_numbers
from bench.session.run_file import RunFile

# Inches: of a row, and of what stands above and below all rows.
_ROW, _AROUND = 0.185, 0.75
# Right ends of the columns of text beside a chart.
_COLUMNS = 0.26, 0.7, 1.0
# More decibels than these are no difference that anybody could see.
_MOST_DB = 100


def fastest(rows: pd.DataFrame, count: int) -> Figure:
    """Median and spread of the ``count`` fastest of ``rows``, which are of one size and number of
    threads, with PSNR and ratio in words."""
    rows = rows.nsmallest(count, "p50_ms")
    figure = Figure(figsize=(5, _AROUND + 0.24 * len(rows)), layout="constrained")
    panel, texts = figure.subplots(1, 2, width_ratios=(2, 1))
    _dots(panel, rows, list(rows["name"]))
    texts.set(ylim=panel.get_ylim())
    texts.set_axis_off()
    for place, row in enumerate(rows.itertuples()):
        ratio = row.ratio_to_litert_mixed
        columns = (
            f"{row.p50_ms:.3g}",
            "" if pd.isna(row.psnr_db) else f"{row.psnr_db:.1f}",
            "" if pd.isna(ratio) else f"{ratio:.2f}",
        )
        for at, text in zip(_COLUMNS, columns, strict=True):
            texts.text(at, place, text, ha="right", va="center")
    for at, text in zip(_COLUMNS, ("ms", "dB", "ratio"), strict=True):
        texts.text(at, -0.9, text, ha="right", va="center", color=QUIET)
    return figure


def latency(rows: pd.DataFrame) -> Figure:
    """Median of ``rows``, which are of one size, with the 10th and 90th percentile; a mark for each
    number of threads."""
    names = _names(rows)
    figure, panel = new_chart(_height(names))
    _dots(panel, rows, names)
    _thread_legend(figure, rows)
    return figure


def accuracy(rows: pd.DataFrame) -> Figure | None:
    """Agreement of ``rows``, which are of one size, with PyTorch float32; None where none is
    known."""
    known = rows.dropna(subset="psnr_db").drop_duplicates("name")
    if known.empty:
        return None
    names = [name for name in _names(rows) if name in set(known["name"])]
    figure, panel = new_chart(_height(names))
    values = known.set_index("name")["psnr_db"].clip(upper=_MOST_DB)
    colors = [engine_color(engine) for engine in known.set_index("name")["engine"][names]]
    panel.hlines(range(len(names)), 0, values[names], color=LINES, zorder=1)
    panel.scatter(values[names], range(len(names)), 22, colors, zorder=2)
    _name_rows(panel, names)
    panel.set_xlim(left=max(0, 0.8 * values.min()))
    panel.set_xlabel("dB")
    text = f"PSNR to PyTorch float32; {_MOST_DB} dB and more at {_MOST_DB}"
    _legend(figure, [Line2D([], [], ls="")], [text])
    return figure


def memory(rows: pd.DataFrame) -> Figure | None:
    """Memory that activations take, of ``rows``, which are of one size, on the fewest threads:
    measured, and of our builds as planned; None where it is not measured, as of a device."""
    rows = rows[rows["threads"] == rows["threads"].min()]
    rows = rows.dropna(subset=["activation_mb", "planned_activation_mb"], how="all")
    if rows["activation_mb"].isna().all():
        return None
    names = _names(rows)
    rows = rows.set_index("name").loc[names]
    figure, panel = new_chart(_height(names))
    colors = [engine_color(engine) for engine in rows["engine"]]
    panel.barh(range(len(names)), rows["activation_mb"], height=0.6, color=colors)
    places = range(len(names))
    planned = rows["planned_activation_mb"]
    panel.plot(planned, places, "D", color=INK, markerfacecolor=PAPER, markersize=4, clip_on=False)
    _name_rows(panel, names)
    panel.set_xlim(left=0)
    panel.set_xlabel("MB")
    mark = Line2D([], [], color=INK, marker="D", markerfacecolor=PAPER, markersize=4, ls="")
    _legend(figure, [mark], ["by the memory plan of our builds; bars: measured"])
    return figure


def scaling(run: RunFile) -> Figure | None:
    """Time per pixel over the number of pixels; None where there is one size only."""
    rows = run.measured()
    rows = rows[rows["scheme"] == "mixed"]
    if rows["size"].nunique() < 2:
        return None
    rows = rows.assign(pixels=rows["size"].map(pixels_of))
    figure, panel = new_chart(3.8, 6)
    for (engine, name, threads), points in rows.groupby(["engine", "name", "threads"]):
        points = points.sort_values("pixels")
        panel.loglog(
            points["pixels"] / 1e6,
            points["p50_ms"] * 1e6 / points["pixels"],
            marker=ENGINES[engine].marker if engine in ENGINES else "x",
            markersize=5,
            linestyle="-" if threads == 1 else "dashed",
            color=engine_color(engine),
            label=f"{name}, {threads_text(threads)}",
        )
    panel.set(xlabel="megapixels", ylabel="nanoseconds per pixel (median)")
    plain_numbers(panel.xaxis)
    plain_numbers(panel.yaxis)
    panel.grid(alpha=0.6)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def engine_color(engine: str) -> str:
    """Name the color of ``engine``: ours stand out."""
    return OURS if is_ours(engine) else OTHERS


def threads_text(count: int) -> str:
    """How many threads, in words."""
    return "1 thread" if count == 1 else f"{count} threads"


def pixels_of(size: str) -> int:
    """How many pixels a picture of ``size``, as "256x256", has."""
    height, width = size.split("x")
    return int(height) * int(width)


def _dots(panel: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    """A dot for each of ``rows`` in the line of its name, with a line from p10 to p90."""
    places = {name: place for place, name in enumerate(names)}
    threads = sorted(rows["threads"].unique())
    for row in rows.itertuples():
        color, place = engine_color(row.engine), places[row.name]
        panel.plot([row.p10_ms, row.p90_ms], [place, place], color=color, linewidth=1.2)
        face = color if row.threads == threads[0] else PAPER
        panel.plot(row.p50_ms, place, _mark(threads, row.threads), color=color,
                   markerfacecolor=face, markersize=4.8)  # fmt: skip
    panel.set_xscale("log")
    panel.set_xlim(rows["p10_ms"].min() / 1.25, rows["p90_ms"].max() * 1.25)
    plain_numbers(panel.xaxis)
    _name_rows(panel, names)
    panel.set_xlabel("ms per frame, logarithmic; median, p10 to p90")


def _mark(threads: list[int], count: int) -> str:
    marks = "os^Dvp"
    return marks[threads.index(count) % len(marks)]


def _thread_legend(figure: Figure, rows: pd.DataFrame) -> None:
    threads = sorted(rows["threads"].unique())
    marks = [
        Line2D([], [], color=QUIET, marker=_mark(threads, count), ls="", markersize=4.8,
               markerfacecolor=QUIET if count == threads[0] else PAPER)
        for count in threads
    ]  # fmt: skip
    _legend(figure, marks, [threads_text(count) for count in threads])


def _legend(figure: Figure, marks: list[Line2D], names: list[str]) -> None:
    """Above the panel, on every chart of a size, so that the rows of all stand side by side."""
    figure.legend(marks, names, loc="outside upper left", ncols=len(names), handletextpad=0.2)


def _name_rows(panel: Axes, names: list[str]) -> None:
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.grid(axis="x", alpha=0.8)
    panel.spines["left"].set_visible(False)


def _names(rows: pd.DataFrame) -> list[str]:
    """The rows' names, the fastest on the fewest threads first."""
    ordered = rows.sort_values(["threads", "p50_ms"])
    return list(dict.fromkeys(ordered["name"]))


def _height(names: list[str]) -> float:
    return _AROUND + _ROW * len(names)
