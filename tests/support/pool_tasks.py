"""Tasks for worker processes: well, crashing, leaving, hanging and failing."""

from __future__ import annotations

import os
import signal
import sys
import time


def prepare(name: str) -> None:
    os.environ["PREPARED"] = name


def answer(value: int) -> tuple[int, int, str]:
    return value, os.getpid(), os.environ["PREPARED"]


def answer_later() -> None:
    time.sleep(0.5)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def leave() -> None:
    os._exit(3)


def hang() -> None:
    time.sleep(600)


def fail() -> None:
    raise ValueError("first line\nlast line")


def unsendable() -> object:
    return lambda: None


def any_of(function: str) -> object:
    return globals()[function]() if function != "answer" else answer(7)


def has_imported(name: str) -> bool:
    return name in sys.modules
