"""A phone as a device of a TVM tracker: the native RPC server there, and the ports between."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compile.support.errors import TargetError
from device.adb.adb import Phone, PhoneLost
from device.adb.pushed_program import pushed_program

_LOOPBACK = "127.0.0.1"
_INTERRUPTED = 130


def serve_phone(
    phone: Phone, server: Path, tracker: tuple[str, int], key: str, say: Callable[[str], None]
) -> None:
    """Offer ``phone`` to a tracker on this machine until Ctrl-C.

    Args:
        phone: that is offered.
        server: the native RPC server for its processor.
        tracker: (host, port).
        key: that the tracker knows it by.
        say: is told each line that the server prints.

    Raises:
        TargetError: the tracker is on another machine, or the server ends by itself.
        PhoneLost: the phone went away.
    """
    host, port = tracker
    if not ipaddress.ip_address(host).is_loopback:
        raise TargetError(
            f"tracker {host}:{port} is on another machine, and adb brings ports of this one to a "
            f"phone: bring it here by ssh -L {port}:{_LOOPBACK}:{port}"
        )
    complaints: list[str] = []

    def tell(line: str) -> None:
        if line.startswith("error: "):
            complaints.append(line.removeprefix("error: "))
        else:
            say(f"{phone}: {line}")

    with pushed_program(phone, server) as pushed, _tunnels(phone, port) as own:
        options = ["--tracker", f"{_LOOPBACK}:{port}", "--key", key, "--port", str(own)]
        code = pushed.watch(options, tell)
    ended = "was stopped there" if code == _INTERRUPTED else f"ended with exit code {code}"
    raise TargetError(f"{phone}: {complaints[-1] if complaints else f'the server {ended}'}")


@contextmanager
def _tunnels(phone: Phone, tracker_port: int) -> Iterator[int]:
    """Let the phone reach the tracker, and this machine the server's port, which is yielded: the
    tracker tells clients one number, so it is the same on both sides."""
    with socket.create_server((_LOOPBACK, 0)) as free:
        own = free.getsockname()[1]
    ways = ("reverse", tracker_port), ("forward", own)
    try:
        for way, port in ways:
            phone.call(way, f"tcp:{port}", f"tcp:{port}")
        yield own
    finally:
        for way, port in ways:
            with suppress(PhoneLost):  # With it they are gone.
                phone.call(way, "--remove", f"tcp:{port}")
