"""Files that are written whole or not at all: results, manifests, shared libraries.

The bytes go to a hidden file in the same folder, reach the disk, and only then take the final
name. Whatever stops the write (a full disk, Ctrl-C) leaves the folder as it was; what a killed
process left there is removed by the next one that writes there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from compile.support.errors import OutputError
from compile.support.left_behind import own_prefix, remove_left_behind

_FREE_SPACE = "free some space or write to another disk"
# An OSError may come without a number.
_REMEDIES: dict[int | None, str] = {
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "raise the limit on file sizes or write to another disk",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ENOENT: "create the folder first",
    errno.ENOTDIR: "create the folder first",
}
_PREFIX = ".mqnet-file-"
_OTHER_REMEDY = "write to a folder that you may change"


def check_unprotected(path: Path) -> None:
    """Raise where a file that is there may not be written to: another could be renamed onto it.

    Raises:
        OutputError: it is protected.
    """
    if os.path.isfile(path) and not os.access(path, os.W_OK):
        raise OutputError(f"{path} is write-protected; choose another name for the output")


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on leaving, sync it and give it the final name.

    The temporary name keeps the ending of ``path``, by which libraries choose a format. The body
    creates the file and does nothing else with files: an ``OSError`` raised in it is taken for
    one of this write. A symbolic link is followed, an existing file keeps its permissions; one
    that they protect from being written stays.

    Raises:
        OutputError: the file cannot be written; nothing is left of it, and an older file of the
            same name is untouched.
    """
    shown, path = Path(path), Path(os.path.realpath(path))
    # Renaming onto a device (/dev/null as root!) would replace the device itself.
    if os.path.exists(path) and not path.is_file():
        raise OutputError(f"{shown} is not a regular file; choose another name for the output")
    check_unprotected(shown)
    _sweep_once(path.parent)
    # 16 hex digits: two threads that write the same result at once do not meet.
    beside = path.with_name(f"{own_prefix(_PREFIX)}{secrets.token_hex(8)}{path.suffix}")
    try:
        yield beside
        if os.path.exists(path):
            os.chmod(beside, path.stat().st_mode & 0o7777)
        _sync(beside)
        os.replace(beside, path)
    except OSError as error:
        raise OutputError(_sentence(shown, error)) from error
    finally:
        # After the rename there is nothing under this name; after a failure there may be.
        with contextlib.suppress(OSError):
            beside.unlink()
    # The file is whole and in place; a file system that cannot sync a folder is no failure.
    with contextlib.suppress(OSError):
        _sync(path.parent)


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write ``data`` to ``path`` whole or not at all.

    Raises:
        OutputError: as :func:`atomic_path`.
    """
    with atomic_path(path) as beside:
        beside.write_bytes(data)


@lru_cache(maxsize=1024)
def _sweep_once(folder: Path) -> None:
    """Once a process, since a folder may have very many files."""
    remove_left_behind(folder, _PREFIX)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sentence(path: Path, error: OSError) -> str:
    reason = (error.strerror or str(error) or type(error).__name__).lower()
    return f"{path} cannot be written ({reason}); {_REMEDIES.get(error.errno, _OTHER_REMEDY)}"


def make_folder(folder: Path) -> None:
    """Make ``folder`` and those above it.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make folder {folder}: {error.strerror}") from None
