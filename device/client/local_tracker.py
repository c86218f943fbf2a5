"""A tracker on this machine, in a process of its own, for as long as somebody needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from compile.support.quick_start import import_tvm_alone
from compile.support.worker_process import WorkerProcess

_HOST = "127.0.0.1"
_SECONDS_TO_LISTEN = 60

_running: list[Any] = []


@contextmanager
def local_tracker(port: int) -> Iterator[int]:
    """The port, ``port`` or the next one that is free, of a tracker at 127.0.0.1.

    TVM's own ``Tracker`` starts a process that imports PyTorch along with TVM, which takes three
    seconds and 390 MB; this one has TVM alone.

    Raises:
        WorkerError: it does not start; says why.
    """
    process = WorkerProcess(import_tvm_alone)
    try:
        yield process.run(_listen, port, seconds=_SECONDS_TO_LISTEN).get()
    finally:
        process.kill()


def _listen(port: int) -> int:
    from tvm.rpc.tracker import PopenTrackerServerState

    _running.append(PopenTrackerServerState(_HOST, port, 65535, silent=True))
    return _running[0].port
