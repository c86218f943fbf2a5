"""A target's folder of records: who may write to it, and on what device it was measured.

``session.json`` holds the device; times of two devices, or of one device under two versions of TVM,
say nothing about each other, so a log never mixes them.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock

from compile.records.json_lines import repair
from compile.records.records import RECORDS, WORKLOADS, finish_writing
from compile.support.atomic import make_folder, write_atomically
from compile.support.errors import OutputError, TargetError
from targets.spec import TargetSpec

SESSION = "session.json"

#: Raised when a key of session.json changes its meaning.
FORMAT = 1

#: What a device says of itself that has to be the same for its times to be compared.
DEVICE_FACTS = ("cpu", "features", "mhz", "governor", "kernel")

_ARCHITECTURES = {"EM_X86_64": "x86", "EM_AARCH64": "arm64"}


def records_name(spec: TargetSpec) -> str:
    """Folder below tuning_logs/: the target's, of the host one for each instruction set."""
    if not spec.variant:
        return spec.name
    return f"{spec.name}-{_ARCHITECTURES[spec.machine]}-{spec.variant}"


def fingerprint(facts: Mapping[str, Any], tvm_version: str) -> dict[str, Any]:
    """What has to be equal for times to be compared, of what a device says of itself."""
    return {**{name: facts.get(name) for name in DEVICE_FACTS}, "tvm": tvm_version}


def existing_log(folder: Path) -> Path:
    """``folder``, which holds a log.

    Raises:
        TargetError: it holds none.
    """
    if not (folder / SESSION).is_file():
        raise TargetError(f"{folder} holds no {SESSION}: name what compile/tune.py has written")
    return folder


def emulated_fingerprint(spec: TargetSpec) -> dict[str, Any]:
    """What a count of instructions depends on, in the place of what it does not."""
    timing = spec.timing.as_json() if spec.timing else None
    return {"mhz": None, "governor": None, "kernel": None, "timing": timing}


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


def read_session(folder: Path) -> dict[str, Any] | None:
    """What session.json holds; None where there is none.

    Raises:
        TargetError: it cannot be read.
    """
    path = folder / SESSION
    try:
        session = json.loads(path.read_text())
        if session["format"] != FORMAT:
            raise ValueError(f"format {session['format']}")
        _ = [session[key] for key in ("target", "device", "kernels", "sessions")]
        _ = session["failed"].items(), session["dropped"].items()
        return session
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TargetError(
            f"{path} cannot be read ({error!r}): restore or delete {folder}"
        ) from None


def settled_kernels(session: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """By kernel, its built-in choice with its seconds, where that is the fastest and ``--compact``
    has therefore left out the kernel's records."""
    return {
        key: {kernel["builtin"]: kernel["seconds"]}
        for key, kernel in session["kernels"].items()
        if "seconds" in kernel
    }


def write_session(folder: Path, session: Mapping[str, Any]) -> None:
    """Replace session.json.

    Raises:
        OutputError: it cannot be written; the older one is still there.
    """
    text = json.dumps({"format": FORMAT, **session}, indent=1) + "\n"
    write_atomically(folder / SESSION, text.encode())


def check_same_device(
    folder: Path, session: Mapping[str, Any], target: str, device: Mapping[str, Any]
) -> None:
    """Raise where the log of ``folder`` is another target's or device's.

    Raises:
        TargetError: so, naming what differs.
    """
    remedy = "move that folder away to begin anew, or name another place by --logs"
    if session["target"] != target:
        raise TargetError(
            f"{folder} is the log of target {session['target']}, not of {target}: {remedy}"
        )
    for name, now in device.items():
        then = session["device"].get(name)
        if then != now:
            change = _change(then, now)
            raise TargetError(
                f"{folder} was measured on another device, or on this one as it was ({name} "
                f"{change}): {remedy}"
            )


def _change(then: Any, now: Any) -> str:
    if isinstance(then, list) and isinstance(now, list):
        gone, new = sorted(set(then) - set(now)), sorted(set(now) - set(then))
        return "".join(f"-{name} " for name in gone) + "".join(f"+{name} " for name in new)
    return f"{then} then, {now} now"
