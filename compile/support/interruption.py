"""Signals that end a command: all of them as KeyboardInterrupt, so that everything is cleaned up.

TVM makes a RuntimeError of whatever is raised while it calls Python, and some of those are caught.
So it is remembered that there was a signal, and looked at again where a step ends.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}

_received: list[signal.Signals] = []


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
    _received.append(signal.Signals(number))
    raise KeyboardInterrupt
