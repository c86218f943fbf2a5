"""A file of JSON lines that only grows, and that no end of the writer damages for good."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

from compile.support.errors import OutputError, TargetError

# An OSError may come without a number.
_REMEDIES: dict[int | None, str] = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise the limit on file sizes",
}


def repair(path: Path) -> int:
    """Cut off what a writer that was ended left of its last line; how many bytes that were.

    Raises:
        OutputError: the file cannot be changed.
    """
    try:
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole == len(data):
            return 0
        os.truncate(path, whole)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise _error(path, error) from None
    return len(data) - whole


def read_lines(path: Path) -> list[Any]:
    """Each line's value; a last line without its end is left out. No file: no lines.

    Raises:
        TargetError: a line that is no JSON.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise TargetError(f"{path} cannot be read: {error.strerror}") from None
    values = []
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            values.append(json.loads(line))
        except ValueError as error:
            raise TargetError(
                f"{path}, line {number} is damaged ({error}): restore or delete the file's folder"
            ) from None
    return values


def encode_line(value: Any) -> bytes:
    """``value`` as a line of such a file."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def append_line(path: Path, value: Any) -> None:
    """Add a line, which is on the disk when this returns; or nothing.

    Raises:
        OutputError: it cannot be written.
    """
    line = encode_line(value)
    before = path.stat().st_size if path.exists() else 0
    try:
        with path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        # A part may have been written.
        with contextlib.suppress(OSError):
            os.truncate(path, before)
        raise _error(path, error) from None


def _error(path: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    remedy = _REMEDIES.get(error.errno, "write to a folder that you may change")
    return OutputError(f"{path} cannot be written ({reason}): {remedy}, and go on")
