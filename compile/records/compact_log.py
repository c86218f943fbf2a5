"""Makes a log small: the fastest candidates of each kernel stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compile.records.log_folder import (
    existing_log,
    locked_log,
    read_session,
    settled_kernels,
    write_session,
)
from compile.records.records import compact, fitting, read_log, write_log
from compile.support.errors import MqnetError


def compact_log(folder: Path, keep: int) -> dict[str, Any]:
    """Keep the ``keep`` fastest candidates of each kernel that still fit it, and the built-in one;
    nothing of kernels for which the built-in one is the fastest. What was done.

    ``session.json`` keeps the names of the others, so that no session tries them again, and forgets
    kernels of which nothing is known any more.

    Raises:
        MqnetError: nothing would be kept, no log, a damaged one, or one that another session
            writes to.
    """
    if keep < 1:
        raise MqnetError(f"compact {keep} would keep nothing: name a positive number")
    with locked_log(existing_log(folder)) as mended:
        session = read_session(folder)
        assert session is not None
        log = read_log(folder)
        kernels = session["kernels"]
        builtin = {key: kernel["builtin"] for key, kernel in kernels.items()}
        smaller = compact(fitting(log), keep, builtin)
        for key, choices in smaller.dropped.items():
            before = session["dropped"].get(key, [])
            session["dropped"][key] = sorted({*before, *choices})
        for key, seconds in smaller.settled.items():
            kernels[key]["seconds"] = seconds
        known = {*smaller.log.by_kernel, *settled_kernels(session), *session["failed"]}
        for part in "kernels", "dropped":
            session[part] = {key: one for key, one in session[part].items() if key in known}
        # First: what is in both files counts as measured.
        write_session(folder, session)
        write_log(folder, smaller.log)
    counts = [sum(map(len, one.by_kernel.values())) for one in (log, smaller.log)]
    return {"log": str(folder), "before": counts[0], "after": counts[1], "mended": mended}
