"""A process that has imported what commands import, and runs each command in a fork of itself.

``python fork_server.py SOCKET``, where SOCKET is the number of a file descriptor that takes
requests: see :mod:`forked_command`. A fork is a command's own process from there on: it has its
arguments, environment, working directory and output, and ends as the interpreter ends.
"""

from __future__ import annotations

import gc
import importlib
import os
import pickle
import runpy
import signal
import socket
import sys
import tempfile
from pathlib import Path

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
    finally:
        gc.enable()
        os.dup2(stderr, 2)
    assert "compile.support.cli" not in sys.modules
    # A fork has the thread that forked and no other.
    assert len(os.listdir("/proc/self/task")) == 1
    gc.collect()
    gc.freeze()


def serve(requests: socket.socket) -> str | None:
    """Run command after command: in each fork returns its script, else None when there are no
    more."""
    # Ctrl-C is for the command.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests.sendall(b"ready")
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, MOST_BYTES, 2)
        if not data:
            return None
        child = os.fork()
        if child == 0:
            requests.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            return begin(*pickle.loads(data), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _, status = os.waitpid(child, 0)
        requests.sendall(pickle.dumps(os.waitstatus_to_exitcode(status)))


def begin(
    script: str, arguments: list[str], environment: dict[str, str], descriptors: list[int]
) -> str:
    """Make this process that of ``python script *arguments``."""
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # It is asked of the environment once.
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent.resolve())
    return script


if __name__ == "__main__":
    import_all()
    command = serve(socket.socket(fileno=int(sys.argv[1])))
    if command is None:
        os._exit(0)
    runpy.run_path(command, run_name="__main__")
