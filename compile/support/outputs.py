"""What a command may write to: never one of the files that it reads, and said before the work."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from compile.support.atomic import check_unprotected
from compile.support.errors import OutputError

_Identity = tuple[int, int]


def check_output_files(
    files: Iterable[Path], inputs: Iterable[Path | None] = (), endings: Iterable[str] = ()
) -> None:
    """Raise where one of ``files`` cannot be a result.

    Args:
        files: to be written.
        inputs: what the command reads: files, and folders with all that is in them; None is none.
        endings: of which each of ``files`` has to have one, such as ".png"; all unless given.

    Raises:
        OutputError: it is one of ``inputs``, also under another name (a link, a hard link); it is
            ``-``, a folder, has another ending, or is where the user may not write.
    """
    read = dict(_read_files(inputs))
    known = tuple(endings)
    for file in files:
        _check_name(file)
        if os.path.isdir(file):
            raise OutputError(f"{file} is a folder: name a file for the output")
        if known and file.suffix.lower() not in known:
            raise OutputError(f"{file} cannot be written: end its name in {' or '.join(known)}")
        _check_is_not_read(file, read)
        _check_may_be_written(file)


def check_output_folder(
    folder: Path, names: Iterable[str] = (), inputs: Iterable[Path | None] = ()
) -> None:
    """Raise where ``folder`` cannot take the files ``names``.

    Args:
        folder: to be written to; it need not exist.
        names: of the files that are written there; more may be, under names of their own.
        inputs: as of :func:`check_output_files`.

    Raises:
        OutputError: it is itself one of ``inputs``, or one of the files is; it is ``-`` or a file,
            or where the user may not write.
    """
    _check_name(folder)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise OutputError(f"{folder} is a file: name a folder for the output")
    read = dict(_read_files(inputs))
    for path in (folder, *(folder / name for name in names)):
        _check_is_not_read(path, read)
        _check_may_be_written(path)


def check_replaced_folder(folder: Path, inputs: Iterable[Path | None]) -> None:
    """Raise where ``folder``, which is made anew as a whole, holds one of ``inputs``.

    Raises:
        OutputError: so, or it is ``-``.
    """
    _check_name(folder)
    # Path.resolve raises at a link that leads to itself.
    whole = os.path.realpath(folder)
    for path in inputs:
        if path is not None and Path(os.path.realpath(path)).is_relative_to(whole):
            raise OutputError(f"{path}, one of the inputs, is in {folder}: name another folder")


def check_written_last(file: Path, beside: Iterable[Path] = ()) -> None:
    """Raise where ``file`` cannot be written when all else is done.

    Args:
        file: a result beside others.
        beside: those others, which need not exist yet.

    Raises:
        OutputError: its folder does not exist, or it is one of ``beside``.
    """
    if not os.path.isdir(file.parent):
        raise OutputError(f"{file} cannot be written (no such folder): create {file.parent} first")
    own = os.path.realpath(file)
    if any(os.path.realpath(other) == own for other in beside):
        raise OutputError(f"{file} is what the command writes there itself: give it another name")


def new_path(folder: Path, name: str, ending: str = "") -> Path:
    """Return a path in ``folder`` that nothing has: ``name``, or with a number behind it, and the
    ``ending``; so that no session takes the place of another."""
    stem = re.sub(r"[^\w.-]+", "-", name)
    path = folder / f"{stem}{ending}"
    for number in itertools.count(2):
        if not path.exists():
            break
        path = folder / f"{stem}-{number}{ending}"
    return path


def _check_name(path: Path) -> None:
    if str(path) == "-":
        raise OutputError("results are not written to stdout: name a file or a folder, not -")


def _check_is_not_read(output: Path, read: dict[_Identity, Path]) -> None:
    identity = _identity(output)
    found = None if identity is None else read.get(identity)
    if found is not None:
        which = "one of the inputs" if found == output else f"{found}, one of the inputs"
        raise OutputError(f"{output} is {which}: give the output another name")


def _check_may_be_written(output: Path) -> None:
    """Raise where what is there, or the folder that it would be made in, cannot be changed."""
    check_unprotected(output)
    path = Path(os.path.realpath(output))
    there = path if os.path.isdir(path) else path.parent
    while not os.path.lexists(there):
        there = there.parent
    if os.path.isdir(there) and not os.access(there, os.W_OK | os.X_OK):
        raise OutputError(
            f"{output} cannot be written (permission denied): write to a folder that you may change"
        )


def _read_files(inputs: Iterable[Path | None]) -> Iterator[tuple[_Identity, Path]]:
    for path in inputs:
        if path is None:
            continue
        below = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
        for each in (path, *below):
            if (identity := _identity(each)) is not None:
                yield identity, each


def _identity(path: Path) -> _Identity | None:
    """What is the same for all names of a file or a folder; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
