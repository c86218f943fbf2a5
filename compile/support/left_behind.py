"""Temporary files and folders that name their process: those of a killed one are removed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from pathlib import Path


def own_prefix(prefix: str) -> str:
    """Return how the name of a temporary file or folder of this process begins: with ``prefix``,
    the machine and the process; a word has to follow."""
    return f"{_of_this_machine(prefix)}{os.getpid()}-"


def remove_left_behind(place: Path, prefix: str) -> None:
    """Remove from the folder ``place`` what processes of this machine and user have made there
    under names of :func:`own_prefix` and have ended without removing."""
    beginning = _of_this_machine(prefix)
    name = re.compile(rf"{re.escape(beginning)}(\d+)-\w+(\.\w+)?")
    try:
        names = os.listdir(place)
    except OSError:  # Whoever writes there says so.
        return
    for found in names:
        match = name.fullmatch(found)
        if match is None or _is_running(int(match[1])):
            continue
        path = place / found
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()


def _of_this_machine(prefix: str) -> str:
    # Another machine may share the place, and its processes' numbers mean nothing here.
    return f"{prefix}{socket.gethostname()}-"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # Of another user.
        pass
    return True
