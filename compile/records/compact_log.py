"""Makes a log small: the fastest candidates of each kernel stay."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import msgspec

from compile.records.log_folder import existing_log, locked_log
from compile.records.records import compact, fitting
from compile.records.tuning_log import TuningLog
from compile.support.errors import MqnetError, TargetError


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
        MqnetError: nothing would be kept, no log, a damaged one, one that another session writes
            to, or one of another version of TVM.
    """
    if keep < 1:
        raise MqnetError(f"compact {keep} would keep nothing: name a positive number")
    with locked_log(existing_log(folder)) as mended:
        log = TuningLog.read(folder)
        _check_same_tvm(log)
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


def _check_same_tvm(log: TuningLog) -> None:
    then, here = log.session.device.tvm, version("apache-tvm")
    if then != here:
        raise TargetError(
            f"{log.folder} was measured with TVM {then} and this is {here}, which cannot tell what "
            "still fits: compact it by the version that measured it"
        )
