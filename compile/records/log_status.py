"""What logs hold: what was tuned, by how much, when, on what device; and two logs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compile.records.log_folder import SESSION, existing_log, read_session, settled_kernels
from compile.records.records import read_log
from compile.support.errors import TargetError

_SHOWN_KERNELS = 20


def log_statuses(logs: Path) -> list[dict[str, Any]]:
    """Of each log in the folder ``logs``, by name; see :func:`print_statuses` for what is in it.

    Raises:
        TargetError: a damaged log.
    """
    return [_status(path.parent) for path in sorted(logs.glob(f"*/{SESSION}"))]


def _status(folder: Path) -> dict[str, Any]:
    session, log = read_session(folder), read_log(folder)
    assert session is not None
    kernels, settled = [], settled_kernels(session)
    for key, facts in session["kernels"].items():
        measured = settled.get(key, {}) | log.measured(key)
        if facts["builtin"] in measured:
            best = min(measured, key=measured.__getitem__)
            kernels.append(
                {
                    "key": key,
                    **{name: facts[name] for name in ("name", "family", "builtin")},
                    "builtin_seconds": measured[facts["builtin"]],
                    "best": best,
                    "best_seconds": measured[best],
                    "measured": len(measured),
                    "failed": len(session["failed"].get(key, ())),
                }
            )
    return {
        "log": folder.name,
        "device": session["device"],
        "records": sum(len(records) for records in log.by_kernel.values()),
        "kernels": kernels,
        "sessions": session["sessions"],
    }


def print_statuses(statuses: list[dict[str, Any]], console: Console) -> None:
    """Per log its device; per network that was tuned the last session and the gain so far."""
    if not statuses:
        console.print("no log holds anything")
    for status in statuses:
        device = status["device"]
        better = sum(kernel["best"] != kernel["builtin"] for kernel in status["kernels"])
        table = Table(
            title=escape(f"{status['log']}: {device['cpu']}, TVM {device['tvm']}"),
            caption=f"{status['records']} records of {len(status['kernels'])} kernels, of which "
            f"{better} got another choice than the built-in one",
            title_justify="left",
        )
        for column in ("network", "last session", "trials", "ended by"):
            table.add_column(column)
        for column in ("built-in ms", "best ms", "gain"):
            table.add_column(column, justify="right")
        networks: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for session in status["sessions"]:
            network = session["scheme"], session["attention"], session["size"]
            networks.setdefault(network, []).append(session)
        for network, sessions in networks.items():
            last = sessions[-1]
            builtin, best = last["frame_seconds"]["builtin"], last["frame_seconds"]["best"]
            table.add_row(
                " ".join(network),
                last["began"],
                str(sum(session["trials"] for session in sessions)),
                last["stopped"],
                f"{builtin * 1e3:.2f}",
                f"{best * 1e3:.2f}",
                f"{builtin / best:.2f}" if best else "",
            )
        console.print(table)


def compare_logs(old: Path, new: Path) -> dict[str, Any]:
    """The best of each kernel that both logs hold.

    Raises:
        TargetError: a folder without a log, a damaged one, or no common kernel.
    """
    before, after = (_status(existing_log(folder)) for folder in (old, new))
    earlier = {kernel["key"]: kernel for kernel in before["kernels"]}
    rows = [
        {
            "name": kernel["name"],
            "family": kernel["family"],
            "old": earlier[kernel["key"]]["best"],
            "old_seconds": earlier[kernel["key"]]["best_seconds"],
            "new": kernel["best"],
            "new_seconds": kernel["best_seconds"],
        }
        for kernel in after["kernels"]
        if kernel["key"] in earlier
    ]
    if not rows:
        raise TargetError(f"{old} and {new} have no kernel in common: compare logs of one network")
    return {
        "old": str(old),
        "new": str(new),
        "same_device": before["device"] == after["device"],
        "devices": [one["device"]["cpu"] for one in (before, after)],
        "kernels": rows,
    }


def print_comparison(comparison: Mapping[str, Any], console: Console) -> None:
    """The kernels whose times differ most, and the sum of all."""
    rows = comparison["kernels"]
    sums = [sum(row[f"{which}_seconds"] for row in rows) for which in ("old", "new")]
    caption = (
        f"{len(rows)} kernels in both: {sums[0] * 1e3:.2f} ms and {sums[1] * 1e3:.2f} ms for one "
        f"call of each, {sums[0] / sums[1]:.2f} times as fast"
    )
    devices = dict.fromkeys(comparison["devices"])
    if not comparison["same_device"]:
        caption += "; the devices DIFFER, so the times are no comparison of choices"
    title = f"{comparison['old']} and {comparison['new']}: {' and '.join(devices)}"
    table = Table(title=escape(title), caption=caption, title_justify="left")
    for column in ("kernel", "old", "new"):
        table.add_column(column, overflow="fold")
    for column in ("old ms", "new ms", "times as fast"):
        table.add_column(column, justify="right")
    by_change = sorted(rows, key=lambda row: -abs(row["old_seconds"] - row["new_seconds"]))
    for row in by_change[:_SHOWN_KERNELS]:
        table.add_row(
            row["name"],
            row["old"],
            row["new"],
            f"{row['old_seconds'] * 1e3:.3f}",
            f"{row['new_seconds'] * 1e3:.3f}",
            f"{row['old_seconds'] / row['new_seconds']:.2f}",
        )
    console.print(table)
