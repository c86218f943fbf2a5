"""Ctrl-C while a command is still being imported: the first import of every command.

Libraries take seconds to import, and Python would print where it was. Nothing is begun by then,
so the process ends at once, with a word; :func:`compile.support.interruption.ending_signals` takes
over. Imports nothing but the standard library: a board runs it (`device/serve.py`).
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_FOLDERS = "compile", "bench", "device"


def _is_command() -> bool:
    """Whether this process has been started for a command; not one that imports it, nor a worker,
    which has imported multiprocessing before."""
    if "multiprocessing" in sys.modules:
        return False
    file = os.path.abspath(getattr(sys.modules["__main__"], "__file__", None) or "")
    is_here = os.path.dirname(file) in [os.path.join(_ROOT, folder) for folder in _FOLDERS]
    return is_here or os.path.basename(sys.argv[0]).startswith("mqnet-")


def _end(number: int, _frame: FrameType | None) -> None:
    os.write(2, b"interrupted\n")
    os._exit(128 + number)


if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end)
