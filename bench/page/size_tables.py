"""The rows of a session as tables to be read, a size at a time, and their flags as footnotes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from bench.page.figures import threads_text
from bench.session.run_file import Row, RunFile

# Heading -> column of the file, and the decimals that mean something.
_TIMES = {
    "p50": ("p50_ms", 1),
    "p10": ("p10_ms", 1),
    "p90": ("p90_ms", 1),
    "min": ("min_ms", 1),
    "CPU": ("cpu_ms", 1),
    "ratio": ("ratio_to_litert_mixed", 2),
}
_NEEDS = {
    "act. MB": ("activation_mb", 0),
    "plan MB": ("planned_activation_mb", 1),
    "peak MB": ("peak_rss_mb", 0),
    "start ms": ("start_ms", 0),
    "file MB": ("file_mb", 1),
    "library MB": ("library_mb", 1),
}
# A number in a flag, and what stands for one in its kind.
_NUMBER, _PLACE = re.compile(r"\d+(?:\.\d+)?"), re.compile("\0")


@dataclass(frozen=True)
class SizeTables:
    """What a section of a report says of one size.

    Attributes:
        times: a line for each row with a figure: time, accuracy, and the numbers of its notes.
        needs: memory and files, of the fewest threads.
        fewest: how many these are, in words.
        notes: kinds of flags, by their numbers from 1.
        missing: what has no figure, and why.
    """

    times: pd.DataFrame
    needs: pd.DataFrame
    fewest: str
    notes: list[str]
    missing: list[str]


def size_tables(run: RunFile, size: str) -> SizeTables:
    """Make the tables of what ``run`` has of ``size``, all as text; "" where there is no figure."""
    common = common_flags(run)
    rows = [row for row in run.rows if row.size == size and row.is_measured]
    flags = [[flag for flag in row.flags if flag not in common] for row in rows]
    kinds = _kinds([flag for own in flags for flag in own])
    times = _table(rows, _TIMES)
    times["95 %"] = [
        "" if row.ratio_interval is None else "{:.2f}-{:.2f}".format(*row.ratio_interval)
        for row in rows
    ]
    times["PSNR dB"] = _texts(rows, "psnr_db", 1)
    numbers = {kind: str(number) for number, kind in enumerate(kinds, 1)}
    times["notes"] = [", ".join(numbers[_kind(flag)] for flag in own) for own in flags]
    fewest = min(row.threads for row in rows)
    needs = _table([row for row in rows if row.threads == fewest], _NEEDS).drop(columns="threads")
    notes = list(kinds.values())
    return SizeTables(times, needs, threads_text(fewest), notes, _missing(run.rows, size))


def common_flags(run: RunFile) -> list[str]:
    """The flags that every row with a figure carries."""
    first, *others = (row.flags for row in run.rows if row.is_measured)
    return [flag for flag in first if all(flag in flags for flags in others)]


def _table(rows: list[Row], columns: dict[str, tuple[str, int]]) -> pd.DataFrame:
    table = pd.DataFrame(
        {"network": [row.name for row in rows], "threads": [str(row.threads) for row in rows]}
    )
    for heading, (name, decimals) in columns.items():
        texts = _texts(rows, name, decimals)
        if any(texts):
            table[heading] = texts
    return table


def _texts(rows: Iterable[Row], name: str, decimals: int) -> list[str]:
    values = (getattr(row, name) for row in rows)
    return ["" if value is None else f"{value:.{decimals}f}" for value in values]


def _kinds(flags: list[str]) -> dict[str, str]:
    """A note for each kind of ``flags``, in order: flags that differ in their numbers only are of
    one, which says from where to where these go."""
    found: dict[str, list[list[str]]] = {}
    for flag in flags:
        found.setdefault(_kind(flag), []).append(_NUMBER.findall(flag))
    notes = {}
    for kind, numbers in found.items():
        ranges = [sorted(set(column), key=float) for column in zip(*numbers, strict=True)]
        texts = [" to ".join(dict.fromkeys((one[0], one[-1]))) for one in ranges]
        # Texts and places take turns: one text fewer than there are parts.
        parts = zip(_PLACE.split(kind), [*texts, ""], strict=True)
        notes[kind] = "".join(part + text for part, text in parts)
    return notes


def _kind(flag: str) -> str:
    return _NUMBER.sub("\0", flag)


def _missing(rows: Iterable[Row], size: str) -> list[str]:
    """A line for each reason, with all that it keeps from being measured."""
    names: dict[str, list[str]] = {}
    for row in rows:
        if row.size == size and not row.is_measured:
            why = ", ".join(row.flags) or "no reason is known"
            names.setdefault(why, []).append(f"{row.name} ({threads_text(row.threads)})")
    return [f"{', '.join(of)}: {why}" for why, of in names.items()]
