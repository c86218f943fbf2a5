"""Runs command lines in forks of a process that has imported what they import."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import IO

from worker_forks import fork_child

_SERVER = Path(__file__).with_name("fork_server.py")
_REPOSITORY = Path(__file__).parents[2]
_starting, _running = Lock(), Lock()


@cache
def _servers() -> tuple[socket.socket, socket.socket]:
    """Where the servers of commands and of workers take requests, for as long as this process
    lives."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    ours, theirs = zip(*pairs, strict=True)
    numbers = [end.fileno() for end in theirs]
    process = subprocess.Popen(
        [sys.executable, str(_SERVER), *map(str, numbers)],
        cwd=_REPOSITORY,
        # A thread of OpenBLAS's would be lost in a fork.
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=numbers,
    )
    atexit.register(process.wait)
    for end, other in pairs:
        other.close()
        atexit.register(end.close)  # Before: by it a server sees that there are no more.
        assert end.recv(16) == b"ready"
    return ours


def server_of_workers() -> socket.socket:
    """What :func:`worker_forks.fork_workers` takes."""
    with _starting:
        return _servers()[1]


class ForkedProcess:
    """What ``subprocess.Popen`` makes of ``python script *arguments``, but in a fork and
    in the repository's root; with ``own_session`` in a process group of its own, as a terminal
    makes one.

    Attributes:
        pid: of the process, a child of this one.
    """

    def __init__(
        self,
        script: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        stderr: IO[str],
        own_session: bool = False,
    ) -> None:
        code = (
            "import runpy, sys, os\n"
            f"{'os.setsid()' if own_session else ''}\n"
            "sys.argv = sys.argv[1:]\n"
            "sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))\n"
            "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        )
        with open(os.devnull, "r+") as nothing:
            files = {0: nothing.fileno(), 1: nothing.fileno(), 2: stderr.fileno()}
            command = ["-c", code, script, *arguments]
            self.pid = fork_child(server_of_workers, command, files, environment)
        self._returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self._returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                self._returncode = os.waitstatus_to_exitcode(status)
        return self._returncode

    def wait(self, seconds: float) -> int:
        """Its exit code, once it has ended."""
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), seconds)
            time.sleep(0.02)
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)


def run_forked(
    script: str,
    arguments: list[str],
    environment: dict[str, str],
    file_limit: int | None = None,
) -> tuple[int, str, str]:
    """Run ``python script *arguments`` in the repository's root, with files of at most
    ``file_limit`` bytes: its exit code, negative for a signal, and what it printed to stdout and
    stderr."""
    with _starting:
        server, _ = _servers()
    with _running, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        request = pickle.dumps((script, arguments, environment, file_limit))
        socket.send_fds(server, [request], [out.fileno(), err.fileno()])
        answer = server.recv(16 << 10)
        assert answer, "the process that runs commands has ended"
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return pickle.loads(answer), said[0], said[1]
