"""What a report says first: what was measured, on what, and the figures that matter most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from bench.engines.registry import is_ours
from bench.page.figures import pixels_of, threads_text
from bench.session.run_file import RunFile
from device.runtime.gpu_name import POCL_WARNING, SOFTWARE_WARNING

_FIGURES = 4


class Figure(NamedTuple):
    """A figure, what it is of, and how sure it is."""

    value: str
    what: str
    more: str = ""


class Place(NamedTuple):
    """What is compared with each other: one size, one number of threads."""

    size: str
    threads: int

    def __str__(self) -> str:
        """Both, in words."""
        return f"{self.size}, {threads_text(self.threads)}"


def label_of(run: RunFile) -> str:
    """What must stand on all that is drawn and said of ``run``; "" where that is nothing."""
    return f"EMULATED by {run.emulator}" if run.emulator else ""


def ranked_rows(run: RunFile) -> pd.DataFrame:
    """The rows with figures whose times say something of a device: none of an emulated one, and
    none of a processor that plays a GPU."""
    rows = run.measured()
    ranks = [not (run.emulator or _ranks_nothing(flags)) for flags in rows["flags"]]
    return rows[ranks]


def first_place(rows: pd.DataFrame) -> Place:
    """The largest size and the fewest threads of ``rows``."""
    size = max(rows["size"], key=pixels_of)
    return Place(size, int(rows.loc[rows["size"] == size, "threads"].min()))


def rows_at(rows: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Those of ``rows`` at ``place``."""
    return rows[(rows["size"] == place.size) & (rows["threads"] == place.threads)]


def first_figures(run: RunFile) -> list[Figure]:
    """Four figures of our build, or as many as there are: time and what it is in comparison, where
    times say something; accuracy, memory, and how much of it is in integers."""
    ranked = ranked_rows(run)
    row = _ours(ranked if not ranked.empty else run.measured())
    if row is None:
        return []
    figures = []
    if not ranked.empty:
        place = Place(row["size"], row.threads)
        spread = f"p10 {row.p10_ms:.3g}, p90 {row.p90_ms:.3g} ms"
        figures.append(Figure(f"{row.p50_ms:.3g} ms", f"a frame of {place}, {row['name']}", spread))
        figures += _comparison(rows_at(ranked, place), row)
    if not pd.isna(row.psnr_db):
        figures.append(Figure(f"{row.psnr_db:.1f} dB", "PSNR to PyTorch float32", row["name"]))
    if not pd.isna(row.planned_activation_mb):
        more = "" if pd.isna(row.weight_mb) else f"weights {row.weight_mb:.2f} MB"
        text = f"{row.planned_activation_mb:.3g} MB"
        figures.append(Figure(text, "activations, by the memory plan", more))
    figures += _integers(run, row)
    if not ranked.empty and not pd.isna(row.start_ms):
        figures.append(Figure(f"{row.start_ms:.0f} ms", "from the file to the first result"))
    return figures[:_FIGURES]


def headlines(run: RunFile) -> list[str]:
    """A sentence for each size and number of threads: who is ahead, by how much."""
    if label := label_of(run):
        return [f"{label}: its times say nothing about any device"]
    lines, ranked = [], ranked_rows(run)
    for place in places_of(run):
        rows = rows_at(ranked, place)
        if rows.empty:
            lines.append(f"{place}: processors that play a GPU, whose times rank nothing")
            continue
        ours = rows[(rows["engine"] == "tvm") & (rows["scheme"] == "mixed")]
        if ours.empty or ours["ratio_to_litert_mixed"].isna().any():
            fastest = rows.loc[rows["p50_ms"].idxmin()]
            lines.append(f"{place}: {fastest['name']} is the fastest")
            continue
        lines += [f"{place}: {_ahead(row)}" for _, row in ours.iterrows()]
    return lines


def places_of(run: RunFile) -> list[Place]:
    """Every size and number of threads that something was measured at, in the file's order."""
    rows = run.measured()
    return [Place(*key) for key, _ in rows.groupby(["size", "threads"], sort=False)]


def what_was_measured(run: RunFile) -> str:
    """One sentence: which networks, how large, on how many threads."""
    rows = run.measured()
    engines = list(dict.fromkeys(rows["engine"]))
    others = [engine for engine in engines if not is_ours(engine)]
    ours = rows[[is_ours(engine) for engine in rows["engine"]]]
    schemes = list(dict.fromkeys(ours["scheme"]))
    sizes = list(dict.fromkeys(rows["size"]))
    threads = sorted(set(rows["threads"]))
    first = f"this project's {_listed(schemes)}" if schemes else ""
    beside = f"beside {_listed(others)}" if others and schemes else _listed(others)
    text = " ".join(part for part in (first, beside) if part)
    return (
        f"The time of one frame, {text}, at {_listed(sizes)}, on "
        f"{_listed([str(one) for one in threads])} {'thread' if threads == [1] else 'threads'}."
    )


def where_it_was_measured(environment: dict[str, Any]) -> str:
    """One line: processor, its clock, cores, memory, system."""
    parts = [environment.get("cpu") or "a device that does not say what it is"]
    for name, text in (
        ("mhz", "{} MHz"),
        ("cores", "{} cores"),
        ("memory_mb", "{} MB of memory"),
        ("gpu", "{}"),
        ("kernel", "Linux {}"),
    ):
        value = environment.get(name)
        if isinstance(value, str | int | float) and value:
            parts.append(text.format(value))
    return ", ".join(parts)


def _ours(rows: pd.DataFrame) -> pd.Series | None:
    """Our mixed build, or our fastest, at the first place; None where there is none."""
    ours = rows[[is_ours(engine) for engine in rows["engine"]]]
    if ours.empty:
        return None
    ours = rows_at(ours, first_place(ours))
    mixed = ours[(ours["engine"] == "tvm") & (ours["scheme"] == "mixed")]
    chosen = ours if mixed.empty else mixed
    return chosen.loc[chosen["p50_ms"].idxmin()]


def _comparison(rows: pd.DataFrame, row: pd.Series) -> list[Figure]:
    """To LiteRT's mixed network, else to the fastest of the other engines."""
    if not pd.isna(row.ratio_to_litert_mixed):
        low, high = row.ratio_interval
        what = "the speed of LiteRT mixed"
        more = f"95 % interval {low:.2f} to {high:.2f}"
        return [Figure(f"{row.ratio_to_litert_mixed:.2f} times", what, more)]
    others = rows[[not is_ours(engine) for engine in rows["engine"]]]
    if others.empty:
        return [Figure(f"{1e3 / row.p50_ms:.3g} per second", f"frames, {row['size']}")]
    other = others.loc[others["p50_ms"].idxmin()]
    ratio = other.p50_ms / row.p50_ms
    return [Figure(f"{ratio:.2f} times", f"the speed of {other['name']}, the fastest other")]


def _integers(run: RunFile, row: pd.Series) -> Iterable[Figure]:
    for one in run.rows:
        if one.name != row["name"] or one.size != row["size"] or one.coverage is None:
            continue
        int8, floats = one.coverage.int8_macs, one.coverage.float_macs
        if int8 + floats:
            share = f"{100 * int8 / (int8 + floats):.1f} %"
            return [Figure(share, "of all multiply-accumulates are int8 by int8")]
    return []


def _ranks_nothing(flags: tuple[str, ...]) -> bool:
    return any(warning in flag for flag in flags for warning in (POCL_WARNING, SOFTWARE_WARNING))


def _ahead(row: pd.Series) -> str:
    ratio, (low, high) = row["ratio_to_litert_mixed"], row["ratio_interval"]
    return (
        f"{row['name']} is {ratio:.2f} times as fast as LiteRT mixed ({low:.2f} to {high:.2f}): "
        f"{row['p50_ms']:.1f} ms"
    )


def _listed(names: Sequence[str]) -> str:
    *first, last = names or ("",)
    return f"{', '.join(first)} and {last}" if first else last
