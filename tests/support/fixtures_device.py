"""Fixtures for tests over TVM's RPC: a tracker, and this machine offered to it as a device is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from command_line import REPOSITORY
from forked_command import ForkedProcess
from tvm import rpc

from device.client.address import DeviceAddress
from device.client.local_tracker import local_tracker

_SECONDS_TO_START = 60


@dataclass(frozen=True)
class Served:
    """A running ``device/serve.py``.

    Attributes:
        address: where clients find it.
        process: of the server, a new interpreter or a fork.
        log: what it says on stderr.
        port: that it takes connections at.
    """

    address: DeviceAddress
    process: subprocess.Popen | ForkedProcess | None
    log: Path
    port: int = 0

    @property
    def options(self) -> tuple[str, ...]:
        """Of the command lines that use it."""
        tracker = f"{self.address.host}:{self.address.port}"
        return "--tracker", tracker, "--key", self.address.key

    def sessions(self) -> list[psutil.Process]:
        """The processes of its clients."""
        return psutil.Process(self.process.pid).children()

    def is_free(self) -> bool:
        """Whether the tracker would give it to a client."""
        tracker = rpc.connect_tracker(self.address.host, self.address.port)
        return bool(tracker.summary()["queue_info"].get(self.address.key, {}).get("free"))

    def becomes_free(self) -> bool:
        """Whether the last session ends, soon after its client has, and the tracker hears of it."""
        deadline = time.monotonic() + 20
        while self.sessions() or not self.is_free():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def send(self, number: int) -> None:
        """Send a signal to it and to its sessions."""
        for process in (psutil.Process(self.process.pid), *self.sessions()):
            process.send_signal(number)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Meanwhile it does nothing, and stays connected."""
        self.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send(signal.SIGCONT)

    def vanish(self) -> None:
        """End it as a power cut would."""
        for process in (psutil.Process(self.process.pid), *self.sessions()):
            process.kill()


@pytest.fixture(scope="session")
def tracker() -> Iterator[tuple[str, int]]:
    """Host and port of a tracker."""
    with local_tracker(free_port()) as port:
        yield "127.0.0.1", port


@pytest.fixture(scope="session")
def serve(
    tracker: tuple[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[Served]]:
    """``serve(key, script, extra, name, forked)``: offers this machine, or what the script makes of
    it, for a while; ``extra`` options come last and win, ``name`` tells servers of one key apart.
    ``forked`` from a process that has TVM it is there two seconds sooner."""
    folder = tmp_path_factory.mktemp("served")

    @contextmanager
    def start(
        key: str,
        script: str = "device/serve.py",
        extra: Sequence[str] = (),
        name: str = "",
        forked: bool = False,
    ) -> Iterator[Served]:
        log, address = folder / f"{name or key}.log", DeviceAddress(*tracker, key)
        port = free_port()
        options = ["--port", str(port), *Served(address, None, log).options, *extra]
        # A server that is killed leaves the folders of its sessions.
        env = {**os.environ, "TMPDIR": str(folder)}
        with log.open("w") as file:
            if forked:
                process = ForkedProcess(script, options, env, file)
            else:
                command = [sys.executable, script, *options]
                process = subprocess.Popen(command, cwd=REPOSITORY, env=env, stderr=file)
        try:
            served = Served(address, process, log, port)
            _wait_until_known(served)
            yield served
        finally:
            process.terminate()
            process.wait(20)

    return start


@pytest.fixture(scope="module")
def board(serve: Callable[..., AbstractContextManager[Served]]) -> Iterator[Served]:
    """This machine as a device called "board", for tests that leave it in order."""
    with serve("board", forked=True) as served:
        yield served


@pytest.fixture
def noise_is_no_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests load the machine: a session does not mind how a device's speed changes."""
    monkeypatch.setattr("compile.search.runner._DRIFT", 20.0)


@pytest.fixture
def own_board(serve: Callable[..., AbstractContextManager[Served]]) -> Iterator[Served]:
    """The same, to be ended."""
    with serve("own-board", forked=True) as served:
        yield served


def free_port() -> int:
    """A port that nothing listens at, a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_known(served: Served) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while not served.is_free():
        assert served.process.poll() is None, served.log.read_text()
        assert time.monotonic() < deadline, served.log.read_text()
        time.sleep(0.1)
