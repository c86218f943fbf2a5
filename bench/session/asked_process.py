"""A process that answers questions, one at a time, until it is closed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from multiprocessing import get_context
from typing import Any

# Some engines compile the network when they start, or with their first frame.
_LONGEST_SECONDS = 600
_SECONDS_TO_END = 2


class WorkerError(Exception):
    """An engine that does not start, or a question that it cannot answer; the text says why."""


class NoAnswer(WorkerError):
    """An engine whose process, or the device it runs on, is gone or silent: ask it no more."""


class AskedProcess:
    """A new Python process that runs ``serve(*arguments, pipe)``.

    ``serve`` sends through the pipe a greeting and then an answer to each (question, value) that it
    receives, each as (None, answer) or (WorkerError or NoAnswer, why there is none), and returns
    when the pipe is closed.

    Attributes:
        greeting: what ``serve`` sent first.

    Raises:
        WorkerError: it has sent no greeting.
    """

    def __init__(self, serve: Callable[..., None], *arguments: object) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(*arguments, theirs))
        # Ctrl-C is for the session, which ends its processes: they are born with it ignored.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self._process.start()
        finally:
            signal.signal(signal.SIGINT, before)
        theirs.close()
        try:
            self.greeting = self._answer()
        except BaseException:
            self.kill()
            raise

    def ask(self, question: str, value: object) -> Any:
        """The answer, waited for.

        Raises:
            WorkerError: there is none, and why.
        """
        with contextlib.suppress(BrokenPipeError):  # Reading tells how the process ended.
            self._pipe.send((question, value))
        return self._answer()

    def close(self) -> None:
        """Let the process end by itself, or end it where it does not."""
        self._pipe.close()
        self._process.join(_SECONDS_TO_END)
        self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _answer(self) -> Any:
        try:
            if not self._pipe.poll(_LONGEST_SECONDS):
                raise NoAnswer(f"no answer within {_LONGEST_SECONDS} s")
            error, answer = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(5)
            raise NoAnswer(f"its process ended with code {self._process.exitcode}") from None
        if error is not None:
            raise error(answer)
        return answer
