"""Worker processes that are forks of a process that has imported TVM.

A worker of a session (:mod:`compile.support.worker_pool`, and the clients of devices) is a new
interpreter that imports TVM, which takes two seconds. :func:`fork_workers` lets a process of the
tests, or a command that runs in a fork, have forks in their place: of :func:`serve_workers`, in a
process below it that has imported what workers import and runs nothing else. What a worker gets is
what ``multiprocessing`` gives a new interpreter, and it is a child of who asked for it.

So are the processes of a training, which import PyTorch and the compiler. Workers that do not begin
with :func:`compile.support.quick_start.import_tvm_alone` are started as ever: those of benchmarks,
whose memory is measured.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import popen_spawn_posix, util
from typing import Any

_MOST_BYTES = 1 << 20
_MOST_FILES = 200
# prctl(2): who inherits the children of a child that has ended.
_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None).prctl
_asking = threading.Lock()


#: Set to False where workers have to be new interpreters.
allowed = True


def fork_workers(server: Callable[[], socket.socket]) -> None:
    """From now on let this process's workers be forks: ``server()`` takes the requests for them,
    in a process below this one."""
    launching = threading.local()
    launch, spawn = popen_spawn_posix.Popen._launch, util.spawnv_passfds

    def launch_marked(self: popen_spawn_posix.Popen, process: Any) -> None:
        launching.can_fork = allowed and (
            _trains(process._target) or _begins_with_tvm(process._args)
        )
        try:
            launch(self, process)
        finally:
            launching.can_fork = False

    def spawn_or_fork(path: object, arguments: Sequence[str], files: Sequence[int]) -> int:
        if not getattr(launching, "can_fork", False):
            return spawn(path, arguments, files)
        same = {number: number for number in (0, 1, 2, *map(int, files))}
        return fork_child(server, arguments, same, os.environ)

    popen_spawn_posix.Popen._launch = launch_marked
    util.spawnv_passfds = spawn_or_fork


def fork_child(
    server: Callable[[], socket.socket],
    arguments: Sequence[str],
    files: Mapping[int, int],
    environment: Mapping[str, str],
) -> int:
    """The number of a new process of this one's, a fork of ``server``'s that is as ``python -c`` by
    these ``arguments`` would be; ``files`` are this process's by the numbers that they have
    there."""
    state = (
        list(files),
        arguments,
        dict(environment),
        os.sched_getaffinity(0),
        signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    )
    with _asking:
        requests = server()
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        try:
            socket.send_fds(requests, [pickle.dumps(state)], list(files.values()))
            return pickle.loads(requests.recv(_MOST_BYTES))
        finally:
            _prctl(_PR_SET_CHILD_SUBREAPER, 0)


def _trains(target: Callable[..., None] | None) -> bool:
    return getattr(target, "__module__", "") == "compile.training.loop"


def _begins_with_tvm(value: Any) -> bool:
    """Whether one of the calls that an executor hands to its workers at first, bytes, does so."""
    if isinstance(value, bytes):
        return b"import_tvm_alone" in value
    if hasattr(value, "initargs"):  # Pebble's.
        value = value.initargs
    return isinstance(value, tuple) and any(map(_begins_with_tvm, value))


def serve_workers(requests: socket.socket) -> str | None:
    """Fork worker after worker: in each returns the code that it runs, else None when the other end
    is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests.sendall(b"ready")
    while True:
        data, files, _, _ = socket.recv_fds(requests, _MOST_BYTES, _MOST_FILES)
        if not data:
            return None
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            between = os.getpid()
            worker = os.fork()
            if worker:
                os.write(writing, b"%d" % worker)
                os._exit(0)
            # Whoever asked becomes its parent when the process between them has ended.
            while os.getppid() == between:
                time.sleep(1e-3)
            for file in (requests.detach(), reading, writing):
                os.close(file)
            return _begin(pickle.loads(data), files)
        os.waitpid(between, 0)
        worker = int(os.read(reading, 32))
        for file in (*files, reading, writing):
            os.close(file)
        requests.sendall(pickle.dumps(worker))


def _begin(state: tuple, files: Sequence[int]) -> str:
    """Make this process what ``spawn`` would start; returns its code."""
    numbers, arguments, environment, cores, blocked, ignores = state
    # First out of the way of each other.
    lowest = max(*numbers, *files) + 1
    moved = [fcntl.fcntl(file, fcntl.F_DUPFD, lowest) for file in files]
    for file in files:
        os.close(file)
    for number, file in zip(numbers, moved, strict=True):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.sched_setaffinity(0, cores)
    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.SIG_IGN if ignores else signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    option = arguments.index("-c")  # Behind Python's path and options.
    code, *others = arguments[option + 1 :]
    sys.argv = ["-c", *others]
    sys.modules["__main__"] = types.ModuleType("__main__")
    return code
