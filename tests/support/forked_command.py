"""Runs command lines in forks of a process that has imported what they import."""

from __future__ import annotations

import atexit
import os
import pickle
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from threading import Lock

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
