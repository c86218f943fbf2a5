"""A command that sends itself a signal; executed by test_interruption.py.

Arguments: where (in Python, in Python that TVM calls, or there with the exception swallowed; in
Python and while that is cleaned up; when all is done and Python ends, or C++ behind it), the
signal's name, and the folder of an artefact that is being written.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import tvm
import tyro

from compile.artefact.writer import staged_artefact
from compile.support.cli import run_command, stderr
from compile.support.progress import Progress
from compile.support.scratch_folder import scratch_folder

_too_late = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: os.abort())


@dataclass(frozen=True)
class Options:
    """Where, and which signal."""

    where: tyro.conf.Positional[str]
    signal: tyro.conf.Positional[str]
    folder: tyro.conf.Positional[Path]


def command(options: Options) -> None:
    def send() -> None:
        os.kill(os.getpid(), getattr(signal, options.signal))
        time.sleep(1)

    @tvm.transform.module_pass(opt_level=0, name="Send")
    def send_in_tvm(mod: tvm.IRModule, _context: tvm.transform.PassContext) -> tvm.IRModule:
        send()
        return mod

    again = contextlib.ExitStack()
    if options.where == "again":
        again.callback(send)
    if options.where == "native":
        # Python is gone by then: to call it would be a crash.
        ctypes.CDLL(None).__cxa_atexit(_too_late, None, None)
        print("done")
        return
    if options.where == "end":
        atexit.register(send)
        print("done")
        return
    with (
        staged_artefact(options.folder) as work,
        scratch_folder("mqnet-test-", options.folder.parent),
        again,
        Progress(stderr).phase("send"),
    ):
        (work / "mqnet.so").write_bytes(b"half")
        if options.where in ("python", "again"):
            send()
        elif options.where == "tvm":
            send_in_tvm(tvm.IRModule())
        else:
            with contextlib.suppress(Exception, KeyboardInterrupt):
                send_in_tvm(tvm.IRModule())
    print("done")


if __name__ == "__main__":
    run_command(Options, command)
    sys.exit(0)
