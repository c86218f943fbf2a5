"""Temporary folders that name their process, so that those of a killed one can be removed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_folder(prefix: str, inside: Path | None = None) -> Iterator[Path]:
    """Make a folder whose name begins with ``prefix``, ``inside`` another or in the one for
    temporary files; on leaving it is removed. Those of processes of this machine and user that have
    ended without doing so are removed first.

    Raises:
        OSError: it cannot be made.
    """
    place = Path(tempfile.gettempdir()) if inside is None else inside
    # Another machine may share the place, and its processes' numbers mean nothing here.
    beginning = f"{prefix}{socket.gethostname()}-"
    _remove_left_behind(place, beginning)
    with tempfile.TemporaryDirectory(
        prefix=f"{beginning}{os.getpid()}-", dir=place, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def _remove_left_behind(place: Path, beginning: str) -> None:
    name = re.compile(rf"{re.escape(beginning)}(\d+)-\w+")
    for path in place.glob(f"{beginning}*"):
        match = name.fullmatch(path.name)
        if match and not _is_running(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # Of another user.
        pass
    return True
