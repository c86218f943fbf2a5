"""What makes a command or a worker start and end in a third of the time."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import sys

_codes: list[int] = []
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


def end_at_once(code: int) -> None:
    """Make ``code`` the exit code of this process, whose work is done, and let it end without what
    C++ does at the end.

    TVM's threads look for work 300,000 times before they sleep, letting other processes run each
    time, and a process that ends waits for them: on a busy machine for minutes, with all its
    results written. For a program's end only: what was registered with `atexit` before this module
    was imported is not run.
    """
    _codes.append(code)


def _end() -> None:
    if _codes and "tvm_ffi" in sys.modules:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # One may be closed from the start.
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(_codes[-1])


# The first that is registered runs last, behind what multiprocessing and others do.
atexit.register(_end)


def import_tvm_alone() -> None:
    """Import TVM as it is imported where PyTorch is not installed.

    Else TVM imports PyTorch, for tensors of a kind that is never given to it here, which takes
    twice as long as the rest of it. Does nothing where either has been imported already; PyTorch
    can still be imported afterwards.
    """
    _import_without_torch("tvm")


def import_runtime_alone() -> None:
    """Import what calls TVM's runtime, in the same way."""
    _import_without_torch("tvm_ffi")


def _import_without_torch(name: str) -> None:
    if "torch" in sys.modules or name in sys.modules:
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # Importing it raises ImportError.
    try:
        importlib.import_module(name)
    finally:
        del sys.modules["torch"]
