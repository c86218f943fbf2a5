"""What makes a command or a worker start and end in a third of the time."""

from __future__ import annotations

import atexit
import gc
import sys

_NEW_OBJECTS, _YOUNG, _OLD = 20_000, 20, 50


def collect_rarely() -> None:
    """Let Python look for cycles of garbage thirty times less often than by default.

    PyTorch and TVM make a million objects when they are imported, all of which stay, and so do
    graphs and modules while they are compiled. To look through them again and again took a quarter
    of a build, and found 20 MB in the end. When the process ends they are looked through once,
    which took a second as often as Python does it by itself.
    """
    gc.set_threshold(_NEW_OBJECTS, _YOUNG, _OLD)
    atexit.unregister(_collect_once)
    atexit.register(_collect_once)


def keep_what_is_imported() -> None:
    """Look for no garbage any more in what has been imported: it stays until the process ends, and
    half a second of a build goes into looking through it."""
    gc.freeze()


def _collect_once() -> None:
    gc.collect()  # Semaphores in cycles would be reported as leaked.
    gc.freeze()


def import_tvm_alone() -> None:
    """Import TVM as it is imported where PyTorch is not installed.

    Else TVM imports PyTorch, for tensors of a kind that is never given to it here, which takes
    twice as long as the rest of it. Does nothing where either has been imported already; PyTorch
    can still be imported afterwards.
    """
    if "torch" in sys.modules or "tvm" in sys.modules:
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # Importing it raises ImportError.
    try:
        import tvm  # noqa: F401
    finally:
        del sys.modules["torch"]
