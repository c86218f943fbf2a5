"""Signals that end a command: all of them as KeyboardInterrupt, so that everything is cleaned up.

TVM makes a RuntimeError of whatever is raised while it calls Python, and some of those are caught.
So it is remembered that there was a signal, and looked at again where a step ends.

Many press Ctrl-C more than once. Nothing is raised again while what the first has ended is cleaned
up, nor while Python ends, where nobody could catch it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}

# Cleaning up takes less. Where the exception was lost, another one may be raised then.
_SECONDS_TO_CLEAN_UP = 5.0

_received: list[signal.Signals] = []
_raised_at = 0.0


@contextmanager
def ending_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread, which enters this, at each of SIGINT, SIGTERM and
    SIGHUP that is not ignored: a shell ignores some for what runs in the background."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    _received.clear()
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _receive)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_without_python() -> None:
    """Let those signals end the process at once from now on, instead of raising in what Python does
    at its end. For a command whose work is done and cleaned up."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def received() -> signal.Signals | None:
    """Return the first signal since :func:`ending_signals` was entered; None: there was none."""
    return _received[0] if _received else None


def check_interrupted() -> None:
    """Raise where the exception of a signal was lost on its way.

    Raises:
        KeyboardInterrupt: there was a signal.
    """
    if _received:
        raise KeyboardInterrupt


def said_of(number: signal.Signals) -> str:
    """Return the word that a command ends with after a signal."""
    return _WORDS[number]


def _receive(number: int, _frame: FrameType | None) -> None:
    global _raised_at
    is_first = not _received
    _received.append(signal.Signals(number))
    if is_first or time.monotonic() - _raised_at > _SECONDS_TO_CLEAN_UP:
        _raised_at = time.monotonic()
        raise KeyboardInterrupt
