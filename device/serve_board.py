"""Offers the emulated board to a TVM tracker: `device/serve.py`, run by the board's Python.

To try `bench/latency.py --tracker` without a board. Times that are taken there say nothing about
any device, and carry that label wherever they are shown.
"""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import os
from dataclasses import dataclass
from pathlib import Path

from compile.support.cli import run_command
from device.emulated.arm64.command import board_command
from device.emulated.arm64.make_root import default_root

_SERVE = Path(__file__).with_name("serve.py")
# The core whose /proc/cpuinfo the board has.
_CPU = "cortex-a76"


@dataclass(frozen=True)
class ServeBoardOptions:
    """Offer the emulated arm64 board to a TVM tracker, until Ctrl-C.

    TVM's RPC executes whatever it is sent, here with your own rights: the emulator is no sandbox.
    Connections are taken from this machine only.

    Attributes:
        tracker: HOST:PORT of the tracker, on this machine.
        key: Name that the tracker knows the board by.
        port: Port to take connections at.
        root: The board's folder, from device/make_board.py; the default is in the user's cache.
    """

    tracker: str
    key: str
    port: int = 9090
    root: Path | None = None


def main() -> None:
    """The command line."""
    run_command(ServeBoardOptions, _serve)


def _serve(options: ServeBoardOptions) -> None:
    root = (options.root or default_root(os.environ)).absolute()
    arguments = "--tracker", options.tracker, "--key", options.key, "--port", options.port
    command = board_command(root, _CPU, {}, _SERVE, *arguments)
    os.execve(command[0], command, {})


if __name__ == "__main__":
    main()
