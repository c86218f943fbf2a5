"""Processes that outlive many tasks, of which each may crash or hang alone.

Whatever runs code that may end a process runs it here: a builder's and a runner's candidates, the
connection to a device, the engines of a latency session. One process is a :class:`WorkerProcess`;
several that stand in for each other are a :class:`WorkerPool`.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pickle import PicklingError
from typing import Any

from compile.support.errors import MqnetError

# prctl(2): the signal that a process gets when the one that started it ends, however it ends.
_PR_SET_PDEATHSIG = 1
# A new process imports TVM, or an engine that compiles the network, beside other work.
SECONDS_TO_START = 600.0
_SECONDS_TO_END, _SECONDS_TO_CLOSE = 5.0, 2.0


class WorkerError(MqnetError):
    """A task that gave no result; the text says why."""


class NoAnswer(WorkerError):
    """A task whose process, or the device it runs on, is gone or silent: ask it no more."""


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

    def get(self) -> Any:
        """Return the value.

        Raises:
            NoAnswer: the process is gone.
            WorkerError: the task failed.
        """
        if self.error:
            raise (NoAnswer if self.crashed else WorkerError)(self.error)
        return self.value


class WorkerProcess:
    """A new Python process that runs ``prepare(*arguments)`` and then one task after the other.

    It ends with the thread that made it, however that ends. Ctrl-C does not reach it: the session
    ends it.

    Attributes:
        pid: of the process.
        is_ready: ``prepare`` has returned.
        tasks: that it was given.
    """

    def __init__(self, prepare: Callable[..., None], arguments: Sequence[Any] = ()) -> None:
        context = get_context("spawn")
        self.is_ready, self.tasks = False, 0
        self._gone = ""
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(prepare, tuple(arguments), theirs))
        with _interrupt_blocked():
            self._process.start()
        theirs.close()
        pid = self._process.pid
        assert pid is not None  # It has been started.
        self.pid = pid

    def run(self, function: Callable[..., Any], *arguments: Any, seconds: float) -> Outcome:
        """Run ``function(*arguments)`` there, for ``seconds`` at most."""
        if self._gone:
            return Outcome(error=self._gone, crashed=True)
        started = self.started()
        if started.error:
            return started
        self.send(function, arguments)
        return self._wait(seconds)

    def started(self) -> Outcome:
        """Wait until ``prepare`` has returned; what became of it."""
        if self.is_ready:
            return Outcome()
        outcome = self._wait(SECONDS_TO_START)
        if outcome.error:
            self.kill(outcome.error)
        return outcome

    def send(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        """Let the process run ``function(*arguments)``; :meth:`receive` tells what became of it."""
        self.tasks += 1
        with contextlib.suppress(BrokenPipeError):  # Receiving tells how the process ended.
            self.connection.send((function, tuple(arguments)))

    def receive(self) -> Outcome:
        """Wait for the next outcome: of ``prepare`` first, then of each task."""
        try:
            outcome = self.connection.recv()
        except (EOFError, OSError):
            self._process.join(_SECONDS_TO_END)
            outcome = Outcome(error=_how_it_ended(self._process.exitcode), crashed=True)
            self.kill(outcome.error)
        self.is_ready = self.is_ready or not outcome.error
        return outcome

    def give_up(self, seconds: float) -> Outcome:
        """End the process, which has not answered within ``seconds``; the outcome of its task."""
        outcome = Outcome(error=f"no end within {seconds:g} s", crashed=True)
        self.kill(outcome.error)
        return outcome

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    def close(self) -> None:
        """Let the process end by itself behind its task, or end it where that takes long."""
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self._process.join(_SECONDS_TO_CLOSE)
        self.kill()

    def kill(self, why: str = "its process was ended") -> None:
        """End the process at once; ``why`` is what later tasks are told."""
        self._gone = self._gone or why
        self._process.kill()
        self._process.join()

    def _wait(self, seconds: float) -> Outcome:
        return self.receive() if self.connection.poll(seconds) else self.give_up(seconds)


@dataclass
class _Busy:
    """A process at work: on the task at ``place``, until the clock shows ``deadline``."""

    worker: WorkerProcess
    place: int
    deadline: float


class WorkerPool:
    """``workers`` processes that start anew after ``most_tasks`` tasks each (0: never), and after a
    task that crashed or hung.

    They are started at once, and ``prepare(*arguments)`` runs first in each.
    """

    def __init__(
        self,
        workers: int,
        prepare: Callable[..., None],
        arguments: Sequence[Any] = (),
        most_tasks: int = 0,
    ) -> None:
        self._count, self._most_tasks = workers, most_tasks
        self._make = partial(WorkerProcess, prepare, arguments)
        self._idle = [self._make() for _ in range(workers)]
        self._busy: dict[Connection, _Busy] = {}
        self._is_closed = False

    def run(
        self,
        function: Callable[..., Any],
        arguments: Sequence[Sequence[Any]],
        seconds: float,
    ) -> list[Outcome]:
        """Run ``function(*each)`` for each of ``arguments``, in any order, with a time limit each
        that does not count how long a process takes to start."""
        outcomes: list[Outcome] = [Outcome()] * len(arguments)
        left = deque(enumerate(arguments))
        try:
            while left or self._busy:
                while left and len(self._busy) < self._count:
                    place, each = left.popleft()
                    self._begin(function, each, place, seconds)
                for place, outcome in self._finished(seconds):
                    outcomes[place] = outcome
        except BaseException:
            self._kill_busy()
            raise
        self._check_open()
        return outcomes

    def close(self) -> None:
        """End the processes, whatever they do."""
        self._is_closed = True
        self._kill_busy()
        for worker in self._idle:
            worker.kill()
        self._idle.clear()

    def _begin(
        self, function: Callable[..., Any], arguments: Sequence[Any], place: int, seconds: float
    ) -> None:
        self._check_open()
        worker = self._idle.pop() if self._idle else self._make()
        if not worker.is_alive():
            worker = self._make()
        worker.send(function, arguments)
        limit = seconds if worker.is_ready else SECONDS_TO_START
        self._busy[worker.connection] = _Busy(worker, place, time.monotonic() + limit)

    def _finished(self, seconds: float) -> Iterator[tuple[int, Outcome]]:
        """Wait for one task at least, or until it is too late for one."""
        nearest = min((busy.deadline for busy in self._busy.values()), default=0.0)
        answering = wait(list(self._busy), max(0.0, nearest - time.monotonic()))
        for connection, busy in list(self._busy.items()):
            worker = busy.worker
            if connection in answering:
                was_ready = worker.is_ready
                outcome = worker.receive()
                if not was_ready and worker.is_ready:
                    busy.deadline = time.monotonic() + seconds
                    continue
                if not worker.is_ready:
                    worker.kill()
            elif time.monotonic() > busy.deadline:
                outcome = worker.give_up(seconds if worker.is_ready else SECONDS_TO_START)
            else:
                continue
            self._check_open()
            self._busy.pop(connection, None)
            self._put_back(worker)
            yield busy.place, outcome

    def _put_back(self, worker: WorkerProcess) -> None:
        if 0 < self._most_tasks <= worker.tasks:
            worker.kill()
        if worker.is_alive():
            self._idle.append(worker)

    def _check_open(self) -> None:
        """Raise where another thread has closed the pool."""
        if self._is_closed:
            raise RuntimeError("the pool is closed")

    def _kill_busy(self) -> None:
        for busy in list(self._busy.values()):
            busy.worker.kill()
        self._busy.clear()


def _work(prepare: Callable[..., None], arguments: tuple[Any, ...], pipe: Connection) -> None:
    """What the process does: its outcomes go through ``pipe``, from which its tasks come."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    pipe.send(_outcome(prepare, arguments, keep=False))
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            try:
                task = pipe.recv()
            except (ImportError, AttributeError) as error:  # What cannot be imported here.
                pipe.send(Outcome(error=_sentence(error)))
                continue
            if task is None:
                return
            outcome = _outcome(*task)
            try:
                pipe.send(outcome)
            except (TypeError, AttributeError, PicklingError) as error:
                pipe.send(Outcome(error=_sentence(error)))


def _outcome(function: Callable[..., Any], arguments: Sequence[Any], keep: bool = True) -> Outcome:
    try:
        value = function(*arguments)
    except Exception as error:  # A task may fail in any way: it is told, and is over.
        return Outcome(error=_sentence(error))
    return Outcome(value if keep else None)


def _sentence(error: Exception) -> str:
    if isinstance(error, MqnetError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:300]


def _how_it_ended(code: int | None) -> str:
    return f"crashed ({signal.Signals(-code).name if code and code < 0 else f'exit code {code}'})"


@contextlib.contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """What is blocked here is blocked in a process that starts meanwhile, and in all of its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
