"""A process that has imported what commands import, and runs each command in a fork of itself.

``python fork_server.py COMMANDS WORKERS``: the numbers of file descriptors that take requests, see
:mod:`forked_command`. A fork is a command's own process from there on: it has its
arguments, environment, working directory and output, and ends as the interpreter ends. Its workers
are forks, too: see :mod:`worker_forks`.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import pickle
import resource
import runpy
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from quick_tvm_script import check_types_quickly
from worker_forks import fork_workers, serve_workers

#: Not ``compile.support.cli``: its console asks the environment for its width when it is made.
IMPORTED = (
    "compile.build_network",
    "compile.quantize.pt2e",
    "compile.artefact.show_build",
    "compile.networks.show_networks",
    "compile.search.tune_network",
    "compile.training.loop",
    "device.emulated.arm64.count_instructions",
    "device.emulated.mali.compile_kernels",
    "torch.export._trace",
    "torchao.quantization.pt2e.quantizer.x86_inductor_quantizer",
    "networkx",
    "tyro",
    "rich.logging",
    "matplotlib.pyplot",
    "pandas",
)
MOST_BYTES = 1 << 20


def import_all() -> None:
    """Import in silence: what packages say at that time, commands keep back."""
    nothing, stderr = os.open(os.devnull, os.O_RDWR), os.dup(2)
    os.dup2(nothing, 2)
    gc.disable()  # All of it stays.
    try:
        for name in IMPORTED:
            importlib.import_module(name)
        check_types_quickly()
    finally:
        gc.enable()
        os.dup2(stderr, 2)
    assert "compile.support.cli" not in sys.modules
    # A fork has the thread that forked and no other.
    assert len(os.listdir("/proc/self/task")) == 1
    gc.collect()
    gc.freeze()


def serve(requests: socket.socket) -> Callable[[], object]:
    """Run command after command: in each fork returns what it runs. Ends this process when there
    are no more."""
    # Ctrl-C is for the command.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests.sendall(b"ready")
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, MOST_BYTES, 2)
        if not data:
            os._exit(0)
        child = os.fork()
        if child == 0:
            requests.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # nohup, by which a test run may have been started, has it ignored.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            return begin(*pickle.loads(data), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _, status = os.waitpid(child, 0)
        requests.sendall(pickle.dumps(os.waitstatus_to_exitcode(status)))


def begin(
    script: str,
    arguments: list[str],
    environment: dict[str, str],
    file_limit: int | None,
    descriptors: list[int],
) -> Callable[[], object]:
    """Make this process that of ``python script *arguments``; returns what it runs. A fork of it
    serves it with workers."""
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        return in_worker(serve_workers(theirs))
    theirs.close()
    assert ours.recv(16) == b"ready"
    fork_workers(lambda: ours)
    if file_limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # It is asked of the environment once.
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent.resolve())
    return partial(runpy.run_path, script, run_name="__main__")


def in_worker(code: str | None) -> Callable[[], object]:
    """What a worker runs; the process that serves workers ends at once."""
    if code is None:
        os._exit(0)
    return partial(run_worker, code)


def run_worker(code: str) -> None:
    """End without taking apart what has been imported, which takes longer than a fork."""
    try:
        exec(code, vars(sys.modules["__main__"]))
    except SystemExit as end:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code or 0))


if __name__ == "__main__":
    # It is started for whatever asks first, which may keep SIGINT from its workers.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    import_all()
    commands, workers = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    if os.fork() == 0:
        commands.close()
        run = in_worker(serve_workers(workers))
    else:
        workers.close()
        run = serve(commands)
    run()
