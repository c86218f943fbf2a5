"""The file that ``bench/latency.py`` writes, checked when it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from compile.support.errors import MqnetError

FORMAT = 1
"""Raised with every change of what the file holds."""

_PARTS = {"format": int, "rows": list, "environment": dict, "samples": list}
_KEYS = ["engine", "scheme", "size", "threads"]


@dataclass(frozen=True)
class RunFile:
    """A latency session.

    Attributes:
        rows: one for each engine, scheme, size and number of threads; figures are missing where an
            engine could not be measured, and ``flags`` says why.
        visits: the seconds of every frame, a list for each visit, by (engine, scheme, size,
            threads).
        environment: where it ran.
    """

    rows: pd.DataFrame
    visits: dict[tuple[str, str, str, int], list[list[float]]]
    environment: dict[str, Any]

    @property
    def measured(self) -> pd.DataFrame:
        """The rows that have figures."""
        return self.rows[self.rows["p50_ms"].notna()]


def read_run(path: Path) -> RunFile:
    """The session in the file at ``path``.

    Raises:
        MqnetError: it is missing, truncated, of another format, or nothing in it was measured.
    """
    try:
        run = json.loads(path.read_text())
    except OSError as error:
        reason = error.strerror
        raise MqnetError(
            f"{path} cannot be read ({reason}): give a bench/latency.py file"
        ) from None
    except ValueError:
        raise MqnetError(
            f"{path} is truncated or not JSON: run bench/latency.py again for a whole one"
        ) from None
    if not isinstance(run, dict) or run.get("format") != FORMAT:
        found = run.get("format") if isinstance(run, dict) else None
        raise MqnetError(
            f"{path} has format {found}, not {FORMAT}: measure again with this bench/latency.py"
        )
    wrong = [name for name, kind in _PARTS.items() if not isinstance(run.get(name), kind)]
    if wrong:
        raise MqnetError(f"{path} has no {wrong[0]!r}: run bench/latency.py again for a whole file")
    rows = pd.DataFrame(run["rows"])
    if "p50_ms" not in rows or rows["p50_ms"].isna().all():
        raise MqnetError(f"{path} has no row with a figure: nothing was measured in that session")
    visits = {tuple(sample[key] for key in _KEYS): sample["seconds"] for sample in run["samples"]}
    return RunFile(rows, visits, run["environment"])
