"""Room for temporary files: LLVM writes objects there, and ends the process where there is none."""

from __future__ import annotations

import shutil
import tempfile

from compile.support.errors import OutputError

# Some times what the objects of the largest build took.
_BYTES = 64 << 20


def check_scratch_space() -> None:
    """Raise where the folder for temporary files is nearly full.

    Raises:
        OutputError: so.
    """
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < _BYTES:
        raise OutputError(
            f"folder {folder} for temporary files has less than {_BYTES >> 20} MiB free: "
            "free some space, or set TMPDIR to another folder"
        )
