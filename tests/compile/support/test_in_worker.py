"""Ctrl-C and worker processes: it reaches the session and none of them, whenever it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
from command_line import REPOSITORY

_PROGRAM = REPOSITORY / "tests/support/interrupted_session.py"
Session = Callable[[str], AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return partial(started, tmp_path / "pressed")


@contextmanager
def started(pressed: Path, moment: str) -> Iterator[subprocess.Popen[str]]:
    """The program in a group of its own; it has started and leaves nobody behind."""
    command = [sys.executable, _PROGRAM, moment, str(pressed)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        assert process.stdout.readline() == "starts\n"
        try:
            yield process
            assert process.wait(20) is not None
        finally:
            process.kill()
    deadline = time.monotonic() + 20
    while left := in_session(process.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def in_session(leader: int) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def test_no_process_sees_it(session: Session) -> None:
    with session("look") as process:
        assert process.wait(30) == 0
        # Of a pool the first process and one in its place; a process of its own.
        assert process.stdout.read() == "True True True\n" * 3
        assert process.stderr.read() == ""


@pytest.mark.parametrize("moment", ["birth", "prepare", "task"])
def test_it_comes_while_a_process_starts(session: Session, moment: str) -> None:
    with session(moment) as process:
        assert process.wait(30) == 130
        assert process.stderr.read() == ""


@pytest.mark.parametrize("seconds", [0, 0.02, 0.05, 0.1, 0.2, 0.4, 2])
def test_it_comes_at_any_moment(session: Session, seconds: float) -> None:
    with session("wait") as process:
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(5) == 130
        assert process.stderr.read() == ""


def test_a_killed_session_leaves_nobody_behind(session: Session) -> None:
    with session("wait") as process:
        time.sleep(0.2)
        process.kill()
