"""One process with a state of its own, which may crash or hang alone: a session, an engine.

It is the only process of an executor, which never starts another one in its place. Pebble, which
runs :mod:`compile.support.worker_pool`, would, and looks after each process twenty times a second:
too often beside a measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from threading import Timer
from typing import Any

from compile.support import in_worker
from compile.support.outcome import Outcome, how_it_ended

_SECONDS_TO_CLOSE = 2.0


class _Context(SpawnContext):
    """Keeps the process that it makes, of which an executor says neither pid nor end."""

    made: SpawnProcess

    def Process(self, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: D102
        self.made = SpawnProcess(**options)
        return self.made


class WorkerProcess:
    """A new Python process that runs ``prepare(*arguments)`` and then one task after the other.

    It ends with the thread that made it, however that ends, and is not replaced. Ctrl-C does not
    reach it: the session ends it.

    Attributes:
        pid: of the process.
    """

    def __init__(self, prepare: Callable[..., None], arguments: Sequence[Any] = ()) -> None:
        context = _Context()
        self._executor = ProcessPoolExecutor(
            1, context, in_worker.prepare, (in_worker.packed(prepare, arguments),)
        )
        try:
            with in_worker.interrupts_held():
                self._started = self._executor.submit(int)
        except BaseException:
            # Ctrl-C: nobody gets this object, whose executor would be ended when Python ends, by
            # two threads at once.
            context.made.kill()
            self._executor.shutdown()
            raise
        self._process, self._gone = context.made, ""
        assert self._process.pid is not None  # It has been started.
        self.pid: int = self._process.pid

    def run(self, function: Callable[..., Any], *arguments: Any, seconds: float) -> Outcome:
        """Run ``function(*arguments)`` there, for ``seconds`` at most, not counting its start."""
        call = in_worker.packed(function, arguments)
        if not self._gone:
            try:
                self._started.result()
                return self._executor.submit(in_worker.run, call).result(seconds)
            except TimeoutError:
                self.kill(f"no end within {seconds:g} s")
            except RuntimeError:  # The process has ended, or another thread is ending it.
                if not self._gone:
                    self._executor.shutdown()  # Before it is down nobody knows the exit code.
                    self._gone = how_it_ended(self._process.exitcode)
        return Outcome(error=self._gone, crashed=True)

    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive()

    def close(self) -> None:
        """Let the process end by itself behind its task, or end it where that takes long."""
        self._gone = self._gone or "its process was ended"
        timer = Timer(_SECONDS_TO_CLOSE, self._process.kill)
        timer.start()
        self._executor.shutdown()
        timer.cancel()

    def kill(self, why: str = "its process was ended") -> None:
        """End the process at once; ``why`` is what later tasks are told."""
        self._gone = self._gone or why
        self._process.kill()
        self._executor.shutdown()
