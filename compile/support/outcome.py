"""What became of a task that a worker process was given."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

from compile.support.errors import MqnetError


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


def how_it_failed(error: BaseException) -> str:
    """Return the sentence of a task that raised ``error``."""
    if isinstance(error, MqnetError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:300]


def how_it_ended(code: int | None) -> str:
    """Return the sentence of a process that ended with the exit ``code``, -N by signal N."""
    return f"crashed ({signal.Signals(-code).name if code and code < 0 else f'exit code {code}'})"
