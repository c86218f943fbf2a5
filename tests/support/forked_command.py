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
_lock = Lock()


@cache
def _server(folder: Path) -> socket.socket:
    """Where the server takes requests, for as long as this process lives."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, str(_SERVER), str(theirs.fileno())],
            cwd=folder,
            # A thread of OpenBLAS's would be lost in a fork.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    atexit.register(process.wait)
    atexit.register(ours.close)  # Before: by it the server sees that there are no more.
    assert ours.recv(16) == b"ready"
    return ours


def run_forked(
    folder: Path, script: str, arguments: list[str], environment: dict[str, str]
) -> tuple[int, str, str]:
    """Run ``python script *arguments`` in ``folder``: its exit code, negative for a signal, and
    what it printed to stdout and stderr."""
    with _lock, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        server = _server(folder)
        request = pickle.dumps((script, arguments, environment))
        socket.send_fds(server, [request], [out.fileno(), err.fileno()])
        answer = server.recv(16 << 10)
        assert answer, "the process that runs commands has ended"
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return pickle.loads(answer), said[0], said[1]
