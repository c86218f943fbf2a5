"""The figures of a report, as matplotlib figures."""

from __future__ import annotations

import io
from collections.abc import Callable

import pandas as pd
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.engines.registry import ENGINES, is_ours
from bench.session.run_file import RunFile

_OURS, _OTHERS = "tab:orange", "tab:blue"


def latency(run: RunFile) -> Figure:
    """Median of every row, a panel per size and number of threads, with the 10th and 90th
    percentile."""
    measured = run.measured()
    groups = list(measured.groupby(["size", "threads"], sort=False))
    figure = Figure(figsize=(10, 1 + 0.27 * len(measured)), layout="constrained")
    heights = [len(rows) for _, rows in groups]
    panels = figure.subplots(len(groups), squeeze=False, height_ratios=heights)[:, 0]
    for panel, ((size, threads), rows) in zip(panels, groups, strict=True):
        rows = rows.sort_values("p50_ms", ascending=False)
        errors = [rows["p50_ms"] - rows["p10_ms"], rows["p90_ms"] - rows["p50_ms"]]
        colors = [engine_color(engine) for engine in rows["engine"]]
        panel.barh(rows["name"], rows["p50_ms"], xerr=errors, color=colors, height=0.7)
        panel.set(title=f"{size}, {_threads(threads)}", xscale="log")
        panel.set_xlim(rows["p10_ms"].min() / 2, rows["p90_ms"].max() * 1.3)
        plain_numbers(panel.xaxis)
    panels[-1].set_xlabel(
        "ms per frame (logarithmic): median, with the 10th and the 90th percentile"
    )
    return figure


def accuracy(run: RunFile) -> Figure:
    """Latency against agreement with PyTorch float32: down and to the right is better."""
    groups = list(run.measured().groupby(["size", "threads"], sort=False))
    figure = Figure(figsize=(10, 4.2 * ((len(groups) + 1) // 2)), layout="constrained")
    panels = figure.subplots((len(groups) + 1) // 2, 2, squeeze=False).ravel()
    for panel in panels[len(groups) :]:
        panel.set_axis_off()
    for panel, ((size, threads), rows) in zip(panels, groups, strict=False):
        for engine, points in rows.groupby("engine"):
            x, y = points["psnr_db"].clip(upper=100), points["p50_ms"]
            panel.plot(x, y, _marker(engine), color=engine_color(engine), label=engine)
            notes = points["name"].str.removeprefix(f"{engine} ")
            for note, at in zip(notes, zip(x, y, strict=True), strict=True):
                panel.annotate(note, at, (4, 3), textcoords="offset points", fontsize=7)
        panel.set(title=f"{size}, {_threads(threads)}", yscale="log")
        plain_numbers(panel.yaxis)
        panel.set(xlabel="PSNR to PyTorch float32 (dB; 100 and more at 100)", ylabel="median, ms")
        panel.legend(fontsize=7)
    return figure


def memory(run: RunFile) -> Figure | None:
    """Memory that activations take, by size, one thread or the fewest there are: measured, and of
    our builds as planned; None where it is not measured, as of a device."""
    rows = run.measured()
    rows = rows[rows["threads"] == rows["threads"].min()]
    if rows["activation_mb"].isna().all():
        return None
    planned = rows.dropna(subset="planned_activation_mb")
    planned = planned.assign(
        name=planned["name"] + ", as planned", activation_mb=planned["planned_activation_mb"]
    )
    rows = pd.concat([rows, planned])
    # Of a GPU beside processors.
    rows = rows.dropna(subset="activation_mb")
    table = rows.pivot(index="name", columns="size", values="activation_mb")
    figure = Figure(figsize=(10, 1 + 0.3 * len(table)), layout="constrained")
    panel = figure.subplots()
    table.loc[::-1, table.columns[::-1]].plot.barh(ax=panel)
    xlabel = "memory from the loaded network to its first frame, measured or as planned (MB)"
    panel.set(xlabel=xlabel, ylabel="")
    return figure


def scaling(run: RunFile) -> Figure | None:
    """Time per pixel over the number of pixels; None where there is one size only."""
    rows = run.measured()
    if rows["size"].nunique() < 2:
        return None
    height_width = rows["size"].str.split("x", expand=True).astype(int)
    rows = rows.assign(pixels=height_width[0] * height_width[1])
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    panel = figure.subplots()
    for (engine, name, threads), points in rows[rows["scheme"] == "mixed"].groupby(
        ["engine", "name", "threads"]
    ):
        points = points.sort_values("pixels")
        panel.loglog(
            points["pixels"] / 1e6,
            points["p50_ms"] * 1e6 / points["pixels"],
            marker=_marker(engine),
            linestyle="-" if threads == 1 else "dashed",
            color=engine_color(engine),
            label=f"{name}, {_threads(threads)}",
        )
    panel.set(xlabel="megapixels", ylabel="nanoseconds per pixel (median)")
    plain_numbers(panel.xaxis)
    plain_numbers(panel.yaxis)
    panel.legend(fontsize=8)
    return figure


FIGURES: dict[str, tuple[str, Callable[[RunFile], Figure | None]]] = {
    "latency": ("Latency", latency),
    "accuracy": ("Latency and accuracy", accuracy),
    "scaling": ("Time per pixel", scaling),
    "memory": ("Memory of activations", memory),
}
"""File name -> title and how it is drawn, in the report's order."""


def engine_color(engine: str) -> str:
    """Name the color of ``engine``: ours stand out."""
    return _OURS if is_ours(engine) else _OTHERS


def png_of(figure: Figure) -> bytes:
    """Draw ``figure``: the content of a PNG file."""
    content = io.BytesIO()
    figure.savefig(content, dpi=110)
    return content.getvalue()


def _marker(engine: str) -> str:
    """Of an engine, also of one that there is no more."""
    return ENGINES[engine].marker if engine in ENGINES else "x"


def plain_numbers(axis: Axis) -> None:
    """Of a logarithmic axis: 20 and 50, not powers of ten, and none where they would collide."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
