"""Makes a log small: the fastest candidates of each kernel stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compile.errors import MqnetError
from compile.tuning_records.log_folder import existing_log, locked_log, read_session, write_session
from compile.tuning_records.records import compact, fitting, read_log, write_records


def compact_log(folder: Path, keep: int) -> dict[str, Any]:
    """Keep the ``keep`` fastest candidates of each kernel that still fit it, and the built-in one;
    what was done.

    ``session.json`` keeps the names of the others, so that no session tries them again.

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
        builtin = {key: kernel["builtin"] for key, kernel in session["kernels"].items()}
        smaller, dropped = compact(fitting(log), keep, builtin)
        for key, choices in dropped.items():
            before = session["dropped"].get(key, [])
            session["dropped"][key] = sorted({*before, *choices})
        # First: what is in both files counts as measured.
        write_session(folder, session)
        write_records(folder, smaller)
    counts = [sum(map(len, one.by_kernel.values())) for one in (log, smaller)]
    return {"log": str(folder), "before": counts[0], "after": counts[1], "mended": mended}
