"""TVM's RPC server, kept running, with the functions of this project beside TVM's own."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import tvm
from tvm.rpc.server import PopenRPCServerState
from tvm.support.utils import TempDirectory

from compile.support.errors import TargetError
from device.runtime.opencl_device import load_opencl
from device.server.functions import register_functions

# prctl(2): the signal that a process gets when the thread that forked it ends.
_PR_SET_PDEATHSIG = 1
_SECONDS_TO_END = 10.0


def serve_until_stopped(tracker: tuple[str, int], key: str, host: str, port: int) -> None:
    """Offer this machine to ``tracker`` under ``key``, at ``port`` of ``host``, until a signal ends
    it; nothing of a session is left then.

    Raises:
        TargetError: the port cannot be had, or the OpenCL plugin not be loaded.
        KeyboardInterrupt: SIGINT or SIGTERM. TVM's listening thread still waits: to end the process
            takes os._exit.
    """
    _load_rest_of_runtime()
    load_opencl()
    register_functions()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What was loaded and registered above is a session's, too: since Python 3.14 not by itself.
    multiprocessing.set_start_method("fork")
    os.register_at_fork(after_in_child=_end_at_once)
    threading.excepthook = _say_why_it_ended
    folder = os.getcwd()
    try:
        while True:
            # TVM's server ends with a session that crashed, or after a minute without a tracker:
            # the next client, or the tracker when it is back, shall find this machine all the same.
            _serve(tracker, key, host, port)
            os.chdir(folder)
    finally:
        _leave_nothing()


def _serve(tracker: tuple[str, int], key: str, host: str, port: int) -> None:
    try:
        # One port and no other: a tunnel leads to this one.
        server = PopenRPCServerState(host, port, port + 1, tracker_addr=tracker, key=key)
    except (OSError, ValueError, OverflowError) as error:
        raise TargetError(
            f"port {port} of {host} cannot be taken ({error}): end what uses it, or name another "
            "by --port"
        ) from None
    print(f"{key}: waiting at {host}:{port}, Ctrl-C ends it", file=sys.stderr, flush=True)
    server.thread.join()
    with contextlib.suppress(OSError):
        server.sock.close()


def _load_rest_of_runtime() -> None:
    """A runtime-only TVM does not load this part by itself; some packed functions live in it."""
    extra = Path(tvm.__file__).parent / "lib" / "libtvm_runtime_extra.so"
    if extra.exists():
        ctypes.CDLL(str(extra), ctypes.RTLD_GLOBAL)


def _end_at_once() -> None:
    """A session, which is a fork, shall have no last words when it is ended with the server; and
    one that is just being forked ends with it, too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _leave_nothing() -> None:
    """End the sessions and remove their folders, while TVM's listening thread goes on: it may begin
    a session, end one or remove its folder at any moment, and what it says of that is of no use."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.excepthook = _say_nothing
    for session in multiprocessing.active_children():
        session.kill()
        session.join(_SECONDS_TO_END)
    # A copy, and the set stays: the thread takes its own folders out of it.
    for folder in tuple(TempDirectory.TEMPDIRS):
        shutil.rmtree(folder, ignore_errors=True)


def _say_why_it_ended(arguments: threading.ExceptHookArgs) -> None:
    print(f"{arguments.exc_value}: starting again", file=sys.stderr, flush=True)


def _say_nothing(_: threading.ExceptHookArgs) -> None:
    """The server ends."""
