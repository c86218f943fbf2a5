"""A folder that a recipe makes once and that is kept: it is whole, or it is not there."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock

from compile.support.errors import TargetError


@dataclass(frozen=True)
class Recipe:
    """What a folder is made of.

    Attributes:
        name: What it is, for people, as "emulated board".
        stamp: Name of the file in it that says so.
        digest: Of all that goes in: the same digest means that it need not be made again.
        note: What else the stamp shall say, as plain data.
    """

    name: str
    stamp: str
    digest: str
    note: Mapping[str, Any] = field(default_factory=dict)


def is_made(folder: Path, recipe: Recipe) -> bool:
    """Whether ``folder`` was made completely, and by exactly this recipe."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return json.loads((folder / recipe.stamp).read_text())["digest"] == recipe.digest
    return False


def make_once(folder: Path, recipe: Recipe, fill: Callable[[Path, Path], None]) -> bool:
    """Makes ``folder``, or does nothing when it is current; safe against a second process.

    It is built in a folder beside and renamed when whole, so a folder that exists is a whole one.

    Args:
        folder: Where it shall be. An older one there is replaced; any other folder is refused.
        recipe: Its identity.
        fill: Called with the new, empty folder, and with another one for what it needs on the way.

    Returns:
        Whether it was made (False: it was current).

    Raises:
        TargetError: A folder in the way, or no room; and whatever ``fill`` raises.
    """
    folder = folder.absolute()
    if is_made(folder, recipe):
        return False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.parent / f".{folder.name}.lock"):
            if is_made(folder, recipe):
                return False
            _refuse_foreign_folder(folder, recipe)
            for leftover in folder.parent.glob(f".{folder.name}-*"):
                # Of a process that was killed: whoever holds the lock is the only one here.
                shutil.rmtree(leftover, ignore_errors=True)
            _make_beside(folder, recipe, fill)
    except OSError as error:
        raise TargetError(f"cannot make the {recipe.name} {folder}: {error}") from error
    return True


def _refuse_foreign_folder(folder: Path, recipe: Recipe) -> None:
    """Never delete a folder that this program did not make."""
    if folder.exists() and not (folder / recipe.stamp).exists() and any(folder.iterdir()):
        raise TargetError(f"{folder} exists and is no {recipe.name}; name another folder")


def _make_beside(folder: Path, recipe: Recipe, fill: Callable[[Path, Path], None]) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work_name:
        work = Path(work_name)
        new = work / "root"
        new.mkdir()
        fill(new, work)
        stamp = {"digest": recipe.digest, **recipe.note}
        (new / recipe.stamp).write_text(json.dumps(stamp, indent=2) + "\n")
        if folder.exists():
            folder.rename(work / "old")
        new.rename(folder)
