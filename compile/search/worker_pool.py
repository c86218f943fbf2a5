"""Processes that outlive many tasks, of which each may crash or hang alone."""

from __future__ import annotations

import contextlib
import ctypes
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from pebble import ProcessExpired, ProcessPool

# prctl(2): the signal that a process gets when the one that started it ends, however it ends.
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        value: what it returned, or None.
        error: why there is nothing; "" where there is.
        crashed: its process ended, or was ended because it took too long.
    """

    value: Any = None
    error: str = ""
    crashed: bool = False


class WorkerPool:
    """``workers`` processes that start anew after ``most_tasks`` tasks each (0: never).

    They are started at once, and ``prepare(*arguments)`` runs first in each. Ctrl-C does not reach
    them: the session ends them.
    """

    def __init__(
        self,
        workers: int,
        prepare: Callable[..., None],
        arguments: Sequence[Any] = (),
        most_tasks: int = 0,
    ) -> None:
        self._pool = ProcessPool(
            max_workers=workers,
            max_tasks=most_tasks,
            initializer=_prepare,
            initargs=(prepare, tuple(arguments)),
            context=get_context("spawn"),
        )
        # The pool's threads inherit what is blocked here, and so do all processes they will start.
        with _interrupt_blocked():
            self._pool.schedule(_nothing)

    def run(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Sequence[Any]],
        seconds: float,
    ) -> list[Outcome]:
        """``function(*each)`` for each of ``arguments``, in any order, with a time limit each."""
        futures = [self._pool.schedule(function, args=each, timeout=seconds) for each in arguments]
        outcomes = []
        try:
            for future in futures:
                outcomes.append(_outcome(future, seconds))
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return outcomes

    def close(self) -> None:
        """End the processes, whatever they do."""
        self._pool.stop()
        self._pool.join()


def _outcome(future: Any, seconds: float) -> Outcome:
    try:
        return Outcome(future.result())
    except FutureTimeout:
        return Outcome(error=f"no end within {seconds:g} s", crashed=True)
    except ProcessExpired as error:
        code = error.exitcode
        cause = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
        return Outcome(error=f"crashed ({cause})", crashed=True)
    except Exception as error:  # A candidate may fail in any way: it is recorded, and is over.
        lines = str(error).strip().splitlines()
        return Outcome(error=f"{type(error).__name__}: {lines[-1] if lines else ''}"[:300])


def _prepare(prepare: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    prepare(*arguments)


def _nothing() -> None:
    """Starts the pool."""


@contextlib.contextmanager
def _interrupt_blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
