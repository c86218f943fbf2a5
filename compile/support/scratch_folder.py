"""Temporary folders that are removed, those of a killed process by the next one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compile.support.left_behind import own_prefix, remove_left_behind


@contextmanager
def scratch_folder(prefix: str, inside: Path | None = None) -> Iterator[Path]:
    """Make a folder whose name begins with ``prefix``, ``inside`` another or in the one for
    temporary files; on leaving it is removed. Those of processes of this machine and user that have
    ended without doing so are removed first.

    Raises:
        OSError: it cannot be made.
    """
    place = Path(tempfile.gettempdir()) if inside is None else inside
    remove_left_behind(place, prefix)
    with tempfile.TemporaryDirectory(
        prefix=own_prefix(prefix), dir=place, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)
