"""What every worker process does, whichever library starts it and hands it tasks.

Functions and arguments come as bytes and are unpickled here: so what is imported with them is
imported behind the signals' settings, and what cannot be is the task's own error.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import parent_process, resource_tracker
from typing import Any

from compile.support.outcome import Outcome, how_it_failed
from compile.support.quick_start import collect_rarely

# A new process imports TVM, or an engine that compiles the network, beside other work.
SECONDS_TO_START = 600
# prctl(2): the signal that a process gets when the thread that started it ends, however it ends.
_PR_SET_PDEATHSIG = 1

_not_prepared = Outcome()


def packed(function: Callable[..., Any], arguments: Sequence[Any]) -> bytes:
    """Make of ``function(*arguments)`` what the functions below take."""
    return pickle.dumps((function, tuple(arguments)))


def prepare(*calls: bytes) -> None:
    """Run ``calls`` in a new worker; where one fails, every task has its error for outcome.

    The process ends by SIGKILL with the thread that started it, and by SIGALRM where they take
    longer than :data:`SECONDS_TO_START`. Ctrl-C does not reach it: who started it ends it.
    """
    global _not_prepared
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # At once, also in code that does not return to Python.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is None or os.getppid() != parent.pid:
        os._exit(1)  # It had ended before.
    signal.alarm(SECONDS_TO_START)
    collect_rarely()
    for call in calls:
        _not_prepared = Outcome(error=run(call).error)
    signal.alarm(0)


def run(call: bytes) -> Outcome:
    """Run ``call``; what became of it."""
    if _not_prepared.error:
        return _not_prepared
    try:
        function, arguments = pickle.loads(call)
        outcome = Outcome(function(*arguments))
    except BaseException as error:  # A task may fail in any way: it is told, and is over.
        return Outcome(error=how_it_failed(error))
    try:
        pickle.dumps(outcome)  # A value that cannot be pickled would end a process of Pebble's.
    except Exception as error:
        return Outcome(error=f"the result cannot be pickled: {how_it_failed(error)}")
    return outcome


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Keep SIGINT from the threads and processes that are started here, and from all that those
    start, from their first moment on. Ctrl-C takes effect afterwards, for half a process that is
    left behind prints a traceback.
    """
    pressed: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    # Any thread may take the signal, one of NumPy's say, and the main one is what it interrupts.
    handler = in_main and signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    # Started along with the first process, it would unblock SIGINT just before that.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if in_main:
            signal.signal(signal.SIGINT, handler)
        if pressed:
            signal.raise_signal(pressed[0])
