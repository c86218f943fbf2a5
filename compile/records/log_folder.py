"""A target's folder of records: who may write to it, and on what device it was measured.

Times of two devices, or of one device under two versions of TVM,
say nothing about each other, so a log never mixes them.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import msgspec
from msgspec import structs

from compile.records.json_lines import repair
from compile.records.log_places import find_log
from compile.records.records import RECORDS, WORKLOADS, finish_writing, read_database
from compile.records.session_file import SESSION, DeviceFacts, SessionFile, read_session
from compile.records.tuning_log import TuningLog
from compile.support.atomic import make_folder
from compile.support.errors import OutputError, TargetError
from targets.spec import TargetSpec

log = logging.getLogger(__name__)

#: What a device says of itself that has to be the same for its times to be compared.
DEVICE_FACTS = tuple(
    name for name in DeviceFacts.__struct_fields__ if name not in ("tvm", "timing")
)

_REMEDY = "move that folder away to begin anew, or name another place by --logs"

_ARCHITECTURES = {"EM_X86_64": "x86", "EM_AARCH64": "arm64"}


def records_name(spec: TargetSpec) -> str:
    """Folder below tuning_logs/: the target's, of the host one for each instruction set."""
    if not spec.variant:
        return spec.name
    return f"{spec.name}-{_ARCHITECTURES[spec.machine]}-{spec.variant}"


def fingerprint(facts: Mapping[str, Any], tvm_version: str) -> DeviceFacts:
    """Return what has to be equal for times to be compared, of what a device says of itself."""
    return msgspec.convert(
        {**{name: facts.get(name) for name in DEVICE_FACTS}, "tvm": tvm_version}, DeviceFacts
    )


def existing_log(folder: Path) -> Path:
    """``folder``, which holds a log.

    Raises:
        TargetError: it holds none.
    """
    if not (folder / SESSION).is_file():
        raise TargetError(f"{folder} holds no {SESSION}: name what compile/tune.py has written")
    return folder


def log_for_builds(name: str, logs: Path | None) -> Path:
    """Find the log called ``name`` (:func:`compile.records.log_places.find_log`) for a build to
    take its records, and warn of one that another version of TVM has measured.

    Raises:
        TargetError: it is another target's, or its session file is damaged.
    """
    folder = find_log(name, logs)
    session = read_session(folder)
    check_is_log_of(folder, session, name)
    here = version("apache-tvm")
    if session is not None and session.device.tvm != here:
        log.warning(
            "%s was measured with TVM %s and this is %s: what was fastest then may not be now; "
            "tune again",
            folder,
            session.device.tvm,
            here,
        )
    return folder


def emulated_fingerprint(device: DeviceFacts, spec: TargetSpec) -> DeviceFacts:
    """Return of ``device`` what a count of instructions depends on, and nothing else."""
    timing = spec.timing.as_json() if spec.timing else None
    return structs.replace(device, mhz=None, governor=None, kernel=None, timing=timing)


@contextlib.contextmanager
def locked_log(folder: Path) -> Iterator[list[str]]:
    """The folder for one session alone, made and mended; sentences on what was mended.

    Raises:
        TargetError: another session has it.
        OutputError: it cannot be made or mended.
    """
    make_folder(folder)
    try:
        lock = filelock.FileLock(folder / ".lock", timeout=0)
        lock.acquire()
    except filelock.Timeout:
        raise TargetError(
            f"another session writes to {folder}: wait until it ends, or name another folder by "
            "--logs"
        ) from None
    except OSError as error:
        raise OutputError(f"cannot write to folder {folder}: {error.strerror}") from None
    with lock:
        finish_writing(folder)
        mended = []
        for name in (WORKLOADS, RECORDS):
            if lost := repair(folder / name):
                mended.append(
                    f"{folder / name} ended within a line: {lost} bytes cut off, the candidate "
                    "will be measured again"
                )
        yield mended


def open_log(
    folder: Path,
    target: str,
    instructions: str,
    device: DeviceFacts,
    measure_reference: Callable[[], float],
) -> TuningLog:
    """Return the log of ``target`` in ``folder`` for a session on ``device``; before the first
    session, one that holds nothing.

    Args:
        folder: which the session has locked.
        target: by :func:`records_name`.
        instructions: see :class:`compile.records.session_file.SessionFile`.
        device: that the session measures on.
        measure_reference: seconds of the reference kernel there, for a new log.

    Raises:
        TargetError: a file is damaged, or the log is another target's or device's.
    """
    session = read_session(folder)
    if session is None:
        session = SessionFile(
            target=target,
            instructions=instructions,
            device=device,
            reference_seconds=measure_reference(),
            kernels={},
            failed={},
            dropped={},
            sessions=[],
        )
    check_same_device(folder, session, target, device)
    return TuningLog(folder, session, read_database(folder))


def check_is_log_of(folder: Path, session: SessionFile | None, target: str) -> None:
    """Raise where ``folder`` holds the log of another target, as after a copy into the wrong place.

    Args:
        folder: of the log.
        session: what its session file holds; None where there is none.
        target: by :func:`records_name`.

    Raises:
        TargetError: it does; both targets are named.
    """
    if session is not None and session.target != target:
        raise TargetError(
            f"{folder} is the log of target {session.target}, not of {target}: {_REMEDY}"
        )


def check_same_device(folder: Path, session: SessionFile, target: str, device: DeviceFacts) -> None:
    """Raise where the log of ``folder`` is another target's or device's.

    Raises:
        TargetError: it is; what differs is named.
    """
    check_is_log_of(folder, session, target)
    for name in device.__struct_fields__:
        then, now = getattr(session.device, name), getattr(device, name)
        if then != now:
            change = _change(then, now)
            raise TargetError(
                f"{folder} was measured on another device, or on this one as it was ({name} "
                f"{change}): {_REMEDY}"
            )


def _change(then: Any, now: Any) -> str:
    if isinstance(then, tuple) and isinstance(now, tuple):
        gone, new = sorted(set(then) - set(now)), sorted(set(now) - set(then))
        return "".join(f"-{name} " for name in gone) + "".join(f"+{name} " for name in new)
    return f"{then} then, {now} now"
