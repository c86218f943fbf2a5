"""Serves one client after the other by TVM's RPC, with the functions of this project beside TVM's
own."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path

import tvm
from tvm.support.utils import TempDirectory

from compile.support.errors import TargetError
from device.runtime.opencl_device import load_opencl
from device.server.functions import register_functions
from device.server.listener import Listener
from device.server.session import serve_client

# prctl(2): the signal that a process gets when the thread that forked it ends.
_PR_SET_PDEATHSIG = 1
_SECONDS_TO_END = 10.0


def serve_until_stopped(tracker: tuple[str, int], key: str, host: str, port: int) -> None:
    """Offer this machine to ``tracker`` under ``key``, at ``port`` of ``host``, until a signal ends
    it; nothing of a session is left then.

    Raises:
        TargetError: the port cannot be had, or the OpenCL plugin not be loaded.
        KeyboardInterrupt: SIGINT or SIGTERM.
    """
    _load_rest_of_runtime()
    load_opencl()
    register_functions()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What was loaded and registered above is a session's, too: since Python 3.14 not by itself.
    multiprocessing.set_start_method("fork", force=True)
    os.register_at_fork(after_in_child=_end_at_once)
    folder = os.getcwd()
    try:
        with contextlib.closing(_listener(tracker, key, host, port)) as listener:
            print(f"{key}: waiting at {host}:{port}, Ctrl-C ends it", file=sys.stderr, flush=True)
            while True:
                serve_client(listener.next_client())
    finally:
        os.chdir(folder)
        _leave_nothing()


def _listener(tracker: tuple[str, int], key: str, host: str, port: int) -> Listener:
    """At this port and no other: a tunnel leads to it."""
    try:
        return Listener(tracker, key, host, port)
    except (OSError, OverflowError) as error:
        raise TargetError(
            f"port {port} of {host} cannot be taken ({error}): end what uses it, or name another "
            "by --port"
        ) from None


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
    """End the session and remove its folder, where a signal came twice."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for session in multiprocessing.active_children():
        session.kill()
        session.join(_SECONDS_TO_END)
    for folder in tuple(TempDirectory.TEMPDIRS):
        shutil.rmtree(folder, ignore_errors=True)
