"""A client's session on a board: a process of its own, which ends with the client."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import sys
from multiprocessing.process import BaseProcess

from tvm.rpc import _ffi_api
from tvm.rpc.server import _serve_loop
from tvm.support.utils import TempDirectory

from device.server.listener import Client

# A session whose client has gone ends by itself, unless a kernel runs there that never ends.
_SECONDS_TO_LEAVE = 10.0


def serve_client(client: Client) -> None:
    """Serve ``client`` until it goes, its time is over, or what it runs crashes; nothing of the
    session is left then."""
    before, folder = os.getcwd(), TempDirectory()
    # Uploads of two sessions may have the same names.
    os.chdir(folder.path)
    print(f"{client.address[0]}: session begins", file=sys.stderr, flush=True)
    process = multiprocessing.Process(target=_serve_loop, args=(client.connection, None, folder))
    try:
        process.start()
        how = _wait(process, client)
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        os.chdir(before)
        folder.remove()
        client.connection.close()
    print(f"{client.address[0]}: {how}", file=sys.stderr, flush=True)


def _wait(process: BaseProcess, client: Client) -> str:
    """How the session ended, or has to be ended."""
    events = select.poll()
    events.register(process.sentinel, select.POLLIN)
    events.register(client.connection, select.POLLRDHUP)
    seconds = client.most_seconds
    if not events.poll(None if seconds is None else seconds * 1e3):
        with contextlib.suppress(RuntimeError, OSError):
            _ffi_api.ReturnException(
                client.connection.fileno(), f"the session's {seconds:g} s are over"
            )
        return f"session ended after its {seconds:g} s"
    process.join(_SECONDS_TO_LEAVE)
    if process.exitcode is None:
        return "session ended: its client went away, and what ran there did not end"
    if code := process.exitcode:
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"session ended: what ran there crashed ({how})"
    return "session ends"
