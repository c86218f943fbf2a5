"""What logs hold: what was tuned, by how much, when, on what device; and two logs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compile.records.session_file import DeviceFacts, FinishedSession
from compile.records.tuning_log import TuningLog, read_logs
from compile.support.errors import TargetError
from compile.support.tables import print_table

_SHOWN_KERNELS = 20


class KernelStatus(msgspec.Struct, frozen=True):
    """A kernel whose default configuration was measured.

    Attributes:
        key: by which the database knows it.
        name, family, builtin: see :class:`compile.records.session_file.TunedKernel`.
        builtin_seconds: of one call.
        best, best_seconds: the fastest configuration.
        measured, failed: numbers of configurations.
    """

    key: str
    name: str
    family: str
    builtin: str
    builtin_seconds: float
    best: str
    best_seconds: float
    measured: int
    failed: int


class LogStatus(msgspec.Struct, frozen=True):
    """What one log holds.

    Attributes:
        log: name of its folder.
        target: whose log it says it is; another one where it was copied into a wrong folder.
        device: that it was measured on.
        records: how many.
        kernels: of which something is known.
        sessions: in order.
    """

    log: str
    target: str
    device: DeviceFacts
    records: int
    kernels: list[KernelStatus]
    sessions: list[FinishedSession]


class KernelComparison(msgspec.Struct, frozen=True):
    """The best configuration of a kernel in two logs, with the seconds of one call."""

    name: str
    family: str
    old: str
    old_seconds: float
    new: str
    new_seconds: float


class LogComparison(msgspec.Struct, frozen=True):
    """Two logs side by side.

    Attributes:
        old, new: their folders.
        same_device: both were measured on one device.
        devices: names of the CPUs.
        kernels: that both hold.
    """

    old: str
    new: str
    same_device: bool
    devices: list[str | None]
    kernels: list[KernelComparison]


def log_statuses(logs: Path | None) -> list[LogStatus]:
    """Return the status of each log in the folder ``logs`` or, for None, in the default places, by
    name.

    Raises:
        TargetError: a damaged log.
    """
    return [log_status(log) for log in read_logs(logs)]


def log_status(log: TuningLog) -> LogStatus:
    """Return what ``log`` holds."""
    kernels = []
    for key, kernel in log.session.kernels.items():
        measured = log.measured(key)
        if kernel.builtin in measured:
            best = min(measured, key=measured.__getitem__)
            kernels.append(
                KernelStatus(
                    key=key,
                    name=kernel.name,
                    family=kernel.family,
                    builtin=kernel.builtin,
                    builtin_seconds=measured[kernel.builtin],
                    best=best,
                    best_seconds=measured[best],
                    measured=len(measured),
                    failed=len(log.session.failed.get(key, ())),
                )
            )
    session = log.session
    return LogStatus(
        log.folder.name,
        session.target,
        session.device,
        log.database.size,
        kernels,
        session.sessions,
    )


def print_statuses(statuses: Sequence[LogStatus], console: Console) -> None:
    """Print per log its device, and per network that was tuned the last session and the gain."""
    if not statuses:
        console.print("no log holds anything")
    for status in statuses:
        better = sum(kernel.best != kernel.builtin for kernel in status.kernels)
        title = f"{status.log}: {status.device.cpu}, TVM {status.device.tvm}"
        if status.target != status.log:
            title += f"; it is the log of target {status.target}, in the folder of another"
        table = Table(
            title=escape(title),
            caption=f"{status.records} records of {len(status.kernels)} kernels, of which "
            f"{better} are faster with another configuration than the default",
            title_justify="left",
        )
        for column in ("network", "last session", "trials", "ended by"):
            table.add_column(column)
        for column in ("default ms", "best ms", "gain"):
            table.add_column(column, justify="right")
        networks: dict[tuple[str, str, str], list[FinishedSession]] = {}
        for session in status.sessions:
            what = session.attention if session.network == "mqnet" else session.network
            network = session.scheme, what, session.size
            networks.setdefault(network, []).append(session)
        for network, sessions in networks.items():
            last = sessions[-1]
            builtin, best = last.frame_seconds.builtin, last.frame_seconds.best
            table.add_row(
                " ".join(network),
                last.began,
                str(sum(session.trials for session in sessions)),
                last.stopped,
                f"{builtin * 1e3:.2f}",
                f"{best * 1e3:.2f}",
                f"{builtin / best:.2f}" if best else "",
            )
        print_table(table, console)


def compare_logs(old: Path, new: Path) -> LogComparison:
    """Compare the best of each kernel that both logs hold.

    Raises:
        TargetError: a folder without a log, a damaged one, or no common kernel.
    """
    before, after = (log_status(TuningLog.read(folder)) for folder in (old, new))
    earlier = {kernel.key: kernel for kernel in before.kernels}
    rows = [
        KernelComparison(
            kernel.name,
            kernel.family,
            earlier[kernel.key].best,
            earlier[kernel.key].best_seconds,
            kernel.best,
            kernel.best_seconds,
        )
        for kernel in after.kernels
        if kernel.key in earlier
    ]
    if not rows:
        raise TargetError(f"{old} and {new} have no kernel in common: compare logs of one network")
    return LogComparison(
        old=str(old),
        new=str(new),
        same_device=before.device == after.device,
        devices=[one.device.cpu for one in (before, after)],
        kernels=rows,
    )


def print_comparison(comparison: LogComparison, console: Console) -> None:
    """Print the kernels whose times differ most, and the sum of all."""
    rows = comparison.kernels
    old, new = sum(row.old_seconds for row in rows), sum(row.new_seconds for row in rows)
    caption = (
        f"{len(rows)} kernels in both: {old * 1e3:.2f} ms and {new * 1e3:.2f} ms for one call of "
        f"each, {old / new:.2f} times as fast"
    )
    devices = dict.fromkeys(map(str, comparison.devices))
    if not comparison.same_device:
        caption += "; the devices DIFFER, so the times are no comparison of choices"
    title = f"{comparison.old} and {comparison.new}: {' and '.join(devices)}"
    table = Table(title=escape(title), caption=caption, title_justify="left")
    for column in ("kernel", "old", "new"):
        table.add_column(column, overflow="fold")
    for column in ("old ms", "new ms", "times as fast"):
        table.add_column(column, justify="right")
    by_change = sorted(rows, key=lambda row: -abs(row.old_seconds - row.new_seconds))
    for row in by_change[:_SHOWN_KERNELS]:
        table.add_row(
            row.name,
            row.old,
            row.new,
            f"{row.old_seconds * 1e3:.3f}",
            f"{row.new_seconds * 1e3:.3f}",
            f"{row.old_seconds / row.new_seconds:.2f}",
        )
    print_table(table, console)
