"""Fixtures for tests of the native RPC server: built once, started on a free port."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from needed_in_ci import give_up
from tvm import rpc

from compile.support.build_cache import user_cache
from device.emulated.arm64.command import QEMU
from device.server.native.build_server import SERVER, build_native_server

_SECONDS_TO_START = 30


@dataclass(frozen=True)
class NativeServer:
    """A running server.

    Attributes:
        process: it, or the emulator that it runs in.
        port: that it takes connections at.
        log: what it says on stderr.
    """

    process: subprocess.Popen
    port: int
    log: Path

    def connect(self, seconds: float = 60.0, key: str = "") -> rpc.RPCSession:
        """Open a session by stock TVM's client."""
        return rpc.connect("127.0.0.1", self.port, key=key, session_timeout=seconds)

    def sessions(self) -> list[psutil.Process]:
        """The processes of its clients."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def only_session(self) -> psutil.Process:
        """The process of the only client, once the server has begun it."""
        deadline = time.monotonic() + 20
        while not (sessions := self.sessions()):
            assert time.monotonic() < deadline, "no session begins"
            time.sleep(0.02)
        (session,) = sessions
        return session

    def is_idle(self) -> bool:
        """Whether all sessions end within some seconds, and the server lives."""
        deadline = time.monotonic() + 20
        while self.sessions():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return self.process.poll() is None


Start = Callable[..., AbstractContextManager[NativeServer]]


@pytest.fixture(scope="session")
def native_server_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``native_server_file(arch)``: the program."""
    folder = tmp_path_factory.mktemp("native-server")

    def build(arch: str) -> Path:
        path = folder / arch / SERVER
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            build_native_server(arch, path, user_cache(os.environ))
        return path

    return build


@pytest.fixture(scope="session")
def start_native(
    native_server_file: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Start:
    """``start_native(*options, arch, emulator)``: serves for a while; another machine's is EMULATED
    by QEMU, with the options ``emulator``."""
    folder = tmp_path_factory.mktemp("native-served")

    @contextmanager
    def start(
        *options: str, arch: str = "", emulator: Sequence[str] = ()
    ) -> Iterator[NativeServer]:
        command: Sequence[str] = [native_server_file(arch or os.uname().machine)]
        if arch not in ("", os.uname().machine):
            if shutil.which(QEMU) is None:
                give_up(f"{arch}'s code", f"{QEMU} is not installed (apt-get install qemu-user)")
            command = [QEMU, *emulator, *command]
        log = folder / f"{len(list(folder.iterdir()))}.log"
        with log.open("w") as file:
            process = subprocess.Popen([*command, "--port", "0", *options], stderr=file)
        try:
            yield NativeServer(process, _port(process, log), log)
        finally:
            process.terminate()
            process.wait(20)

    return start


def close(session: rpc.RPCSession) -> None:
    """End a session, whatever of it is still held somewhere."""
    session._sess["CloseRPCConnection"]()


def _port(process: subprocess.Popen, log: Path) -> int:
    deadline = time.monotonic() + _SECONDS_TO_START
    while not (found := re.search(r"waiting at .*:(\d+),", log.read_text())):
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
    return int(found[1])
