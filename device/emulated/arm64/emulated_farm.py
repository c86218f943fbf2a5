"""A tracker and emulated boards that register there, for as long as somebody measures on them."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tvm import rpc

from compile.support.errors import TargetError
from compile.support.scratch_folder import scratch_folder
from device.client.local_tracker import local_tracker
from device.emulated.arm64.board_core import BoardCore, root_with_core
from device.emulated.arm64.command import board_command, check_board
from device.emulated.arm64.counting_plugin import counting_plugin
from targets.timing_model import TimingModel

#: Key of the boards at the tracker.
KEY = "emulated"

_SERVE = Path(__file__).parents[2] / "serve.py"
# Python and TVM take an emulated core some seconds to start, and much longer beside other work.
_SECONDS_TO_START = 180
_SECONDS_TO_END = 10
# prctl(2): the signal that a process gets when the one that started it ends.
_PR_SET_PDEATHSIG = 1


@contextmanager
def emulated_farm(
    root: Path, core: BoardCore, count: int, timing: TimingModel | None = None
) -> Iterator[str]:
    """HOST:PORT of a tracker that knows ``count`` boards by :data:`KEY`, each passing for ``core``
    and counting the instructions that it executes, and by the model ``timing`` their cycles.

    Counts do not depend on what else this machine does, so boards may share its cores.

    Raises:
        TargetError: No QEMU, no board in ``root``, no C compiler, or a board does not start.
    """
    root = root.absolute()
    check_board(root)
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder("mqnet-farm-"))
        plugin = counting_plugin(folder)
        board = root_with_core(root, core, folder / "board")
        port = stack.enter_context(local_tracker(_free_port()))
        address = f"127.0.0.1:{port}"
        # Threads would count into one another's figures.
        env = {"TVM_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "TMPDIR": str(folder)}
        arguments = "--tracker", address, "--key", KEY, "--port"
        logs = []
        for number in range(count):
            command = board_command(
                board,
                core.model,
                env,
                _SERVE,
                *arguments,
                _free_port(),
                plugin=plugin,
                plugin_options=timing.plugin_options() if timing else (),
            )
            logs.append(folder / f"board{number}.log")
            log = stack.enter_context(logs[-1].open("w"))
            # A group of its own: Ctrl-C is for the session, which ends the boards.
            process = subprocess.Popen(
                command,
                env={},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=_end_with_session,
            )
            stack.callback(_end, process)
        _wait_until_known(port, count, logs)
        yield address


def _wait_until_known(port: int, count: int, logs: list[Path]) -> None:
    tracker = rpc.connect_tracker("127.0.0.1", port)
    deadline = time.monotonic() + _SECONDS_TO_START
    while len(tracker.summary()["server_info"]) < count:
        if time.monotonic() > deadline:
            lines = [line for log in logs for line in log.read_text().splitlines()[-1:]]
            raise TargetError(
                f"the emulated boards do not start ({'; '.join(lines) or 'no message'}): try "
                "device/serve_board.py by itself"
            )
        time.sleep(0.2)


def _end_with_session() -> None:
    """However that ends: kill -9 leaves no board behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
