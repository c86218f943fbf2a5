"""Processes that stand in for each other and outlive many tasks, of which each may crash or hang
alone: candidates of a tuning session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from typing import Any, NamedTuple

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from compile.support import in_worker
from compile.support.outcome import Outcome, how_it_ended
from compile.support.quick_start import import_tvm_alone

# How often to look whether a pool still is there.
_LOOK_SECONDS = 1.0


class WorkerPool:
    """``workers`` processes that start anew after ``most_tasks`` tasks each (0: never), and after a
    task that crashed or hung.

    They are started at once, and ``prepare(*arguments)`` runs first in each. They end with the
    thread that made the pool, however that ends. Ctrl-C does not reach them: the session ends them.
    """

    def __init__(
        self,
        workers: int,
        prepare: Callable[..., None],
        arguments: Sequence[Any] = (),
        most_tasks: int = 0,
    ) -> None:
        self._options = (
            workers,
            most_tasks,
            in_worker.prepare,
            (in_worker.packed(import_tvm_alone, ()), in_worker.packed(prepare, arguments)),
            get_context("spawn"),
        )
        self._futures: list[_Waiting] = []
        self._is_closed = False
        self._pool = self._start()

    def run(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Sequence[Any]],
        seconds: float,
    ) -> list[Outcome]:
        """Run ``function(*each)`` for each of ``arguments``, in any order, with a time limit each
        that does not count how long a process takes to start.

        Raises:
            RuntimeError: the pool is closed, before or meanwhile.
        """
        calls = [in_worker.packed(function, each) for each in arguments]
        try:
            futures = [self._schedule(call, seconds) for call in calls]
            return [self._outcome(*each, seconds) for each in zip(calls, futures, strict=True)]
        except CancelledError:
            raise RuntimeError("the pool is closed") from None
        finally:
            self._cancel()

    def close(self) -> None:
        """End the processes, whatever they do."""
        self._is_closed = True
        self._cancel()
        self._pool.stop()
        self._pool.join()

    def _start(self) -> ProcessPool:
        pool = ProcessPool(*self._options)
        # Its threads inherit what is blocked, and so do the processes that they start later.
        with in_worker.interrupts_held():
            pool.schedule(int)
        return pool

    def _schedule(self, call: bytes, seconds: float) -> _Waiting:
        if self._is_closed:
            raise CancelledError
        if not self._pool.active:
            self._pool.join()
            self._pool = self._start()
        future = self._pool.schedule(in_worker.run, (call,), timeout=seconds)
        self._futures.append(_Waiting(self._pool, future))
        return self._futures[-1]

    def _outcome(self, call: bytes, future: _Waiting, seconds: float) -> Outcome:
        try:
            try:
                return future.result()
            except BrokenProcessPool:  # A process ended without a task: this one is not to blame.
                return self._schedule(call, seconds).result()
        except TimeoutError:
            return Outcome(error=f"no end within {seconds:g} s", crashed=True)
        except ProcessExpired as error:
            return Outcome(error=how_it_ended(error.exitcode), crashed=True)
        except BrokenProcessPool:
            return Outcome(error="crashed as it started", crashed=True)

    def _cancel(self) -> None:
        while self._futures:
            self._futures.pop().future.cancel()


class _Waiting(NamedTuple):
    """A task of a pool, which may end without a word of it: where the pool breaks between two tasks
    just as this one is handed over."""

    pool: ProcessPool
    future: ProcessFuture[Outcome]

    def result(self) -> Outcome:
        """What becomes of it.

        Raises:
            BrokenProcessPool: the pool has ended without it.
        """
        while not self.future.done():
            with suppress(TimeoutError):
                return self.future.result(_LOOK_SECONDS)
            if not self.pool.active:
                self.pool.join()
                if not self.future.done():
                    raise BrokenProcessPool
        return self.future.result()
