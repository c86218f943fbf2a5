"""A board's door: whoever connects and is no client of its keeps it from none that is."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures_device import free_port
from tvm.rpc import base

from compile.support.errors import TargetError
from device.client.address import DeviceAddress
from device.client.local_tracker import local_tracker
from device.client.request import _wait_for_device, count_devices
from device.server import listener
from device.server.listener import Client, Listener

MAGIC = struct.pack("<i", base.RPC_MAGIC)
NO_HANDSHAKES = {
    "no magic": bytes.fromhex("ffffff7f"),
    "an endless key": MAGIC + bytes.fromhex("ffffff7f"),
    "a key of less than nothing": MAGIC + bytes.fromhex("ffffffff"),
    "no key": MAGIC + bytes(4),
    "a key of spaces": MAGIC + struct.pack("<i", 2) + b"  ",
    "a key that is no text": MAGIC + struct.pack("<i", 2) + b"\xff\xff",
    "another key": MAGIC + struct.pack("<i", 8) + b"client:x",
}


class Door:
    """A listener that waits for its next client in a thread."""

    def __init__(self, tracker: tuple[str, int]) -> None:
        self.port = free_port()
        # The tracker may still know the one before.
        self.address = DeviceAddress(*tracker, f"door-{self.port}")
        self._listener = Listener(tracker, self.address.key, "127.0.0.1", self.port)
        self._found: list[Client] = []
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # It is closed, and nobody has come.
            self._found.append(self._listener.next_client())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def let_in(self, options: str = "") -> Client:
        """Come as a client does, by way of the tracker."""
        _, port, key = _wait_for_device(self.address, time.monotonic() + 20)
        with self.connect() as connection:
            assert port == self.port
            said = f"client:{key}{options}".encode()
            # In two parts, as a slow network may bring it.
            connection.sendall(MAGIC + struct.pack("<i", len(said)) + said[:5])
            connection.sendall(said[5:])
            code, length = struct.unpack("<ii", base.recvall(connection, 8))
            assert code == base.RPC_CODE_SUCCESS
            assert base.recvall(connection, length).decode() == f"server:{self.address.key}"
            self._thread.join(20)
        (client,) = self._found
        return client

    def close(self) -> None:
        self._listener.close()
        # What it says of that belongs to this test.
        self._thread.join(10)


@pytest.fixture
def door(tracker: tuple[str, int]) -> Iterator[Door]:
    with contextlib.closing(Door(tracker)) as door:
        while not _offered(door):
            pass
        yield door


def _offered(door: Door) -> bool:
    with contextlib.suppress(TargetError):
        return count_devices(door.address) == 1
    return False


@pytest.mark.parametrize("bytes_sent", NO_HANDSHAKES.values(), ids=NO_HANDSHAKES.keys())
def test_bytes_that_are_no_handshake(door: Door, bytes_sent: bytes) -> None:
    with door.connect() as stranger:
        stranger.sendall(bytes_sent)
        # It is refused or sent away, and not waited for.
        assert stranger.recv(100) in (b"", struct.pack("<i", base.RPC_CODE_MISMATCH))
        assert door.let_in().most_seconds is None


def test_twenty_that_say_nothing(door: Door) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(door.connect()) for _ in range(20)]
        for connection in silent[::2]:
            connection.sendall(MAGIC)
        assert door.let_in(" -timeout=1.5").most_seconds == 1.5


def test_nobody_is_waited_for_without_an_end(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_SECONDS_TO_SAY", 0.1)
    with door.connect() as silent:
        assert silent.recv(1) == b""


def test_a_crowd_costs_a_board_no_more_than_its_share(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_MOST_GREETINGS", 3)
    with contextlib.ExitStack() as stack:
        first, *_ = [stack.enter_context(door.connect()) for _ in range(5)]
        assert first.recv(1) == b""
        door.let_in()


def test_a_port_that_is_taken(tracker: tuple[str, int]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Listener(tracker, "x", "127.0.0.1", taken.getsockname()[1])


def test_a_tracker_that_goes_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(listener, "_SECONDS_TO_PING", 0.1)
    port = free_port()
    first = contextlib.ExitStack()
    assert first.enter_context(local_tracker(port)) == port
    with first, contextlib.closing(Door(("127.0.0.1", port))) as door:
        while not _offered(door):
            pass
        first.close()
        while "does not answer" not in (said := capfd.readouterr().err):
            pass
        assert f"{door.address.key}: the tracker at 127.0.0.1:{port} does not answer" in said
        with local_tracker(port) as again:
            assert again == port
            while not _offered(door):
                pass
            door.let_in()
            assert capfd.readouterr().err.count("the tracker is back") == 1
