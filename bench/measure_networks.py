"""Everything that ``bench/networks.py`` does once its options are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from rich.table import Table

from bench.measure_latency import LatencyRequest, measure_latency
from bench.page.drawing import plain_numbers, png_of
from bench.page.figures import engine_color
from bench.session.run_file import RunFile, read_run
from compile.networks.network import Network
from compile.networks.registry import find_network
from compile.networks.show_networks import describe_network
from compile.support.atomic import make_folder, write_atomically
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from compile.support.tables import print_table

FILES = ("networks.csv", "networks.png", "settings.json")
"""What is written beside the sessions."""


@dataclass(frozen=True)
class NetworksRequest:
    """What to time.

    Attributes:
        networks: by name, or FILE.py:FUNCTION.
        size: height x width in pixels, such as "256x256".
        threads: per frame.
        against, schemes: names by commas.
        seconds: that each engine of a network is measured for.
        out: folder of the results; builds are made in it.
    """

    networks: tuple[str, ...]
    size: str
    threads: int
    against: str
    schemes: str
    seconds: float
    out: Path


def measure_networks(request: NetworksRequest, progress: Progress) -> pd.DataFrame:
    """Time all that ``request`` names and that its folder does not hold, write the table and the
    figure, and return the table: a row for each network, engine and scheme.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend; also where the folder
            holds a comparison with other settings.
        KeyboardInterrupt: Ctrl-C; the networks that were measured by then are kept.
    """
    networks = {text: find_network(text, {}) for text in request.networks}
    _check_titles(networks)
    make_folder(request.out)
    _check_settings(request)
    rows: list[dict[str, Any]] = []
    for text, network in networks.items():
        path = request.out / f"{network.title}.json"
        if path.exists():
            progress.say(f"{network.title}: measured before, {path}")
        else:
            progress.say(network.title)
            _measure(request, text, path, progress)
        facts = describe_network(network)
        rows += _rows(network.title, facts, read_run(path))
        # Each time, so that there is a table of those that are done.
        table = pd.DataFrame(rows)
        write_atomically(request.out / FILES[0], table.to_csv(index=False).encode())
        write_atomically(request.out / FILES[1], png_of(draw_networks(table)))
    return table


def _check_titles(networks: Mapping[str, Network]) -> None:
    """Raise where two networks would have one file: the second would be taken for measured."""
    texts: dict[str, str] = {}
    for text, network in networks.items():
        other = texts.setdefault(network.title, text)
        if other != text:
            raise MqnetError(
                f"{other} and {text} are both called {network.title}: rename a file, or measure "
                "each into a folder of its own with --out"
            )


def _check_settings(request: NetworksRequest) -> None:
    """Note how it is measured, or raise where the folder says that it was otherwise."""
    wanted = {name: value for name, value in asdict(request).items() if name != "networks"}
    del wanted["out"]
    path = request.out / FILES[2]
    if not path.exists():
        write_atomically(path, json.dumps(wanted, indent=1).encode())
        return
    try:
        known = json.loads(path.read_text())
    except ValueError:
        raise MqnetError(f"{path} is damaged: give another folder with --out") from None
    for name, value in wanted.items():
        if known.get(name) != value:
            raise MqnetError(
                f"{request.out} holds networks that were measured with {name} {known.get(name)}, "
                f"not {value}: give another folder with --out"
            )


def _measure(request: NetworksRequest, text: str, path: Path, progress: Progress) -> None:
    """Measure one network; nothing is kept of a session that was cut short."""
    runs: list[RunFile] = []
    session = LatencyRequest(
        target="host",
        artefacts=(),
        sizes=(request.size,),
        threads=(request.threads,),
        against=request.against,
        schemes=request.schemes,
        seconds=request.seconds,
        device=None,
        out=path,
        network=text,
    )
    measure_latency(session, runs.append, progress)
    write_atomically(path, runs[0].as_json().encode())


def _rows(title: str, facts: dict[str, Any], run: RunFile) -> list[dict[str, Any]]:
    """The measured rows of ``run`` with what is known of its network."""
    return [
        {
            "network": title,
            "parameters": facts["parameters"],
            "gmac": facts["macs"] / 1e9,
            "engine": row.engine,
            "scheme": row.scheme,
            "size": row.size,
            "threads": row.threads,
            "p50_ms": row.p50_ms,
            "p90_ms": row.p90_ms,
            "activation_mb": row.activation_mb,
            "peak_rss_mb": row.peak_rss_mb,
            "psnr_db": row.psnr_db,
            "flags": ", ".join(row.flags),
            "cpu": run.cpu,
        }
        for row in run.rows
    ]


def draw_networks(rows: pd.DataFrame) -> Figure:
    """Draw the median of every row, a panel for each network."""
    measured = rows[rows["p50_ms"].notna()]
    groups = list(measured.groupby("network", sort=False))
    figure = Figure(figsize=(10, 1 + 0.32 * len(measured)), layout="constrained")
    heights = [len(group) for _, group in groups]
    panels = figure.subplots(len(groups), squeeze=False, height_ratios=heights, sharex=True)[:, 0]
    for panel, (name, group) in zip(panels, groups, strict=True):
        group = group.sort_values("p50_ms", ascending=False)
        colors = [engine_color(engine) for engine in group["engine"]]
        bars = panel.barh(group["engine"] + " " + group["scheme"], group["p50_ms"], color=colors)
        panel.bar_label(bars, fmt="%.1f", padding=3, fontsize=7)
        first = group.iloc[0]
        title = f"{name}: {first['parameters'] / 1e6:.2f} M parameters, {first['gmac']:.2f} GMAC"
        panel.set(title=title, xscale="log")
        plain_numbers(panel.xaxis)
    # Room for the number beside the longest bar; all panels share the axis.
    panels[0].set_xlim(measured["p50_ms"].min() / 2, measured["p50_ms"].max() * 1.5)
    panels[-1].set_xlabel("ms per frame (logarithmic), median")
    return figure


def print_networks(rows: pd.DataFrame) -> None:
    """Print the table to stdout."""
    table = Table(caption="GMAC: of a picture of 256x256; dB: against PyTorch float32, mu-law")
    table.add_column("network", no_wrap=True)
    table.add_column("engine and scheme", no_wrap=True)
    for column in ("parameters", "GMAC", "p50 ms", "p90 ms", "act. MB", "peak MB", "dB"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("flags", overflow="fold")
    for row in rows.to_dict("records"):
        figures = ("p50_ms", "p90_ms", "activation_mb", "peak_rss_mb", "psnr_db")
        table.add_row(
            row["network"],
            f"{row['engine']} {row['scheme']}",
            f"{row['parameters']:,}",
            f"{row['gmac']:.2f}",
            *("" if pd.isna(row[name]) else f"{row[name]:.1f}" for name in figures),
            row["flags"],
        )
    print_table(table)
