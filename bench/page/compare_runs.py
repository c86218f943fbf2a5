"""What changed between two sessions, and whether it is more than noise.

Sessions on one machine still differ by what else it did, so milliseconds are not compared: the
ratio to LiteRT's mixed network is, which each session measured for itself.
"""

from __future__ import annotations

import pandas as pd

from bench.session.run_file import BASELINE, RunFile
from compile.support.errors import MqnetError

_KEYS = ["engine", "scheme", "build", "size", "threads"]
_RATIO = "ratio_to_litert_mixed"


def compare_runs(old: RunFile, new: RunFile) -> pd.DataFrame:
    """A row for all that both measured: old and new ratio, their change, and a verdict.

    Raises:
        MqnetError: the two are of different CPUs, or have no ratio in common.
    """
    cpus = [run.cpu for run in (old, new)]
    if None in cpus:
        raise MqnetError(
            "a run does not say what CPU it was measured on: compare sessions of one machine, and "
            "let device/serve.py serve a device"
        )
    if cpus[0] != cpus[1]:
        raise MqnetError(
            f"the baseline was measured on {cpus[0]!r} and the run on {cpus[1]!r}: compare "
            "sessions of one machine"
        )
    columns = [*_KEYS, _RATIO, "ratio_interval"]
    before, after = (run.measured().dropna(subset=[_RATIO])[columns] for run in (old, new))
    both = before.merge(after, on=_KEYS, suffixes=("_old", "_new"))
    engine, scheme = BASELINE
    both = both[(both["engine"] != engine) | (both["scheme"] != scheme)]
    if both.empty:
        raise MqnetError(
            "the two sessions have no ratio in common: let both run --against litert at one size"
        )
    table = both[_KEYS].copy()
    table["old ratio"], table["new ratio"] = both[f"{_RATIO}_old"], both[f"{_RATIO}_new"]
    table["change"] = table["new ratio"] / table["old ratio"] - 1
    table["verdict"] = [
        _verdict(*intervals)
        for intervals in zip(both["ratio_interval_old"], both["ratio_interval_new"], strict=True)
    ]
    return table


def _verdict(old: tuple[float, float], new: tuple[float, float]) -> str:
    if new[0] > old[1]:
        return "faster"
    return "slower" if new[1] < old[0] else "within noise"
