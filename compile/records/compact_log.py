"""Makes a log small: the fastest candidates of each kernel stay."""

from __future__ import annotations

from pathlib import Path

import msgspec

from compile.records.log_folder import existing_log, locked_log
from compile.records.records import compact, fitting
from compile.records.tuning_log import TuningLog
from compile.support.errors import MqnetError


class CompactReport(msgspec.Struct, frozen=True):
    """What compaction has done.

    Attributes:
        log: its folder.
        before, after: numbers of records.
        mended: sentences on what was cut off before.
    """

    log: str
    before: int
    after: int
    mended: list[str]


def compact_log(folder: Path, keep: int) -> CompactReport:
    """Keep the ``keep`` fastest candidates of each kernel that still fit it, and the default one;
    nothing of kernels for which the default one is the fastest.

    ``session.json`` keeps the names of the others, so that no session tries them again, and forgets
    kernels of which nothing is known any more.

    Raises:
        MqnetError: nothing would be kept, no log, a damaged one, or one that another session
            writes to.
    """
    if keep < 1:
        raise MqnetError(f"compact {keep} would keep nothing: name a positive number")
    with locked_log(existing_log(folder)) as mended:
        log = TuningLog.read(folder)
        session, before = log.session, log.database.size
        builtin = {key: kernel.builtin for key, kernel in session.kernels.items()}
        smaller = compact(fitting(log.database), keep, builtin)
        log.database = smaller.database
        session.drop(smaller.dropped)
        for key, seconds in smaller.settled.items():
            session.kernels[key] = msgspec.structs.replace(session.kernels[key], seconds=seconds)
        known = {*log.database.by_kernel, *session.settled, *session.failed}
        session.kernels = {key: one for key, one in session.kernels.items() if key in known}
        session.dropped = {key: one for key, one in session.dropped.items() if key in known}
        log.write()
    return CompactReport(str(folder), before, log.database.size, mended)
