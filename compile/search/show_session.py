"""The table of a running session, and the last one of an ended session."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from compile.search.tuning_session import Observer, TuningSession
from compile.support.progress import Progress, can_move
from compile.support.tables import fit_table, print_table

_ROWS_RUNNING, _ROWS_AT_THE_END = 12, 20
_REASONS = {
    "gain": "no batch can be expected to save 1 % of a frame",
    "trials": "as many trials as were asked for",
    "space": "every candidate was tried",
    "failures": "every candidate failed",
}


@contextmanager
def shown_session(console: Console, title: str) -> Iterator[Observer]:
    """Yields what the session calls behind every batch: on a terminal its table changes, in a log
    there is a line for each batch, and the table at the end."""
    last: list[TuningSession] = []
    told = -1
    live = Live(console=console, auto_refresh=False, transient=True)
    progress = Progress(console)

    def observe(session: TuningSession) -> None:
        nonlocal told
        last[:] = [session]
        if can_move(console):
            table = session_table(session, title, _ROWS_RUNNING)
            fit_table(table, console)
            live.update(table, refresh=True)
        elif session.trials != told:
            told = session.trials
            progress.say(f"  {session_line(session)}")

    try:
        with live if can_move(console) else progress.phase("tune"):
            yield observe
    finally:
        for session in last:
            table = session_table(session, title, _ROWS_AT_THE_END)
            print_table(table, console)
            for message in session.messages:
                console.print(escape(message), soft_wrap=True)


def session_line(session: TuningSession) -> str:
    """How far the session is, in a few words."""
    passed = time.monotonic() - session.started
    text = f"{session.trials} of at most {session.plan.trials} trials in {passed:.0f} s"
    if session.frame_seconds:
        text += (
            f": frame {session.default_seconds * 1e3:.2f} ms default, "
            f"{session.frame_seconds * 1e3:.2f} ms now"
        )
    return text


def session_table(session: TuningSession, title: str, rows: int) -> Table:
    """The kernels that take longest."""
    passed = time.monotonic() - session.started
    total = session.frame_seconds or 1.0
    caption = (
        f"frame {session.default_seconds * 1e3:.2f} ms default, {total * 1e3:.2f} ms now, "
        f"{session.default_seconds / total:.2f} times as fast; {session.trials} trials in "
        f"{passed:.0f} s"
    )
    if not session.stopped and session.trials:
        left = (session.plan.trials - session.trials) * passed / session.trials
        caption += f", at most {left:.0f} s to go"
    if session.stopped:
        caption += f"; ended: {_REASONS[session.stopped]}"
    if session.repeated:
        caption += f"; {session.repeated} batches measured again"
    table = Table(title=escape(title), caption=caption, title_justify="left")
    table.add_column("kernel", overflow="fold")
    table.add_column("family")
    for column in ("calls", "share", "default ms", "best ms", "gain", "trials", "errors"):
        table.add_column(column, justify="right")
    table.add_column("best configuration", overflow="fold")
    for state in sorted(session.states, key=lambda state: -state.frame_seconds)[:rows]:
        known = state.default in state.seconds
        table.add_row(
            state.task.name,
            state.task.family,
            str(state.task.calls),
            f"{state.frame_seconds / total:.1%}",
            f"{state.seconds[state.default] * 1e3:.3f}" if known else "",
            f"{state.best_seconds * 1e3:.3f}" if known else "",
            f"{state.gain:.2f}" if known else "",
            str(len(state.seconds)),
            str(len(state.failed)),
            ("default" if state.best == state.default else state.best) if known else "",
        )
    return table
