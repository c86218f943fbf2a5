"""Where tuning logs are: in the folder that the user names, else in the user's own, else in that
which this project ships.

In a checkout the last two are one: `tuning_logs/`. An installed package is not written to.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from compile.records import TUNING_LOGS
from compile.records.session_file import SESSION
from compile.support.atomic import make_folder
from compile.support.errors import OutputError
from compile.support.scratch_folder import scratch_folder


def find_log(name: str, logs: Path | None) -> Path:
    """Find the folder of the log called ``name``, which may not exist, in ``logs`` or, for None,
    in the default places."""
    if logs is not None:
        return logs / name
    own = own_logs() / name
    return own if (own / SESSION).is_file() else TUNING_LOGS / name


def find_logs(logs: Path | None) -> list[Path]:
    """List the folders of all logs in ``logs`` or, for None, in the default places, by name."""
    places = [logs] if logs is not None else [TUNING_LOGS, own_logs()]
    found = {path.parent.name: path.parent for at in places for path in at.glob(f"*/{SESSION}")}
    return [found[name] for name in sorted(found)]


def writable_log(name: str, logs: Path | None) -> Path:
    """Return the folder that a session writes the log called ``name`` to: in ``logs`` or, for None,
    the user's own, which begins as a copy of what this project ships.

    Raises:
        OutputError: it cannot be made.
    """
    folder = (own_logs() if logs is None else logs) / name
    shipped = TUNING_LOGS / name
    if logs is None and not folder.exists() and (shipped / SESSION).is_file():
        make_folder(folder.parent)
        try:
            with scratch_folder(f".{name}-", folder.parent) as beside:
                os.replace(shutil.copytree(shipped, beside / name), folder)
        except OSError as error:
            raise OutputError(f"cannot write to folder {folder}: {error.strerror}") from None
    return folder


def own_logs() -> Path:
    """Return the folder that sessions write to where none is named: `tuning_logs/` of a checkout;
    for an installed package below $XDG_DATA_HOME, else below ~/.local/share."""
    if (TUNING_LOGS.parent / "pyproject.toml").is_file():
        return TUNING_LOGS
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share"
    return Path(data) / "mqnet-tvm" / "tuning_logs"
