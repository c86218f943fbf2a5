"""Sessions of the native server that end badly: the client is told, and the next one is served."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
import tvm
from cut_programs import check_cut_program
from fixtures_device import free_port
from fixtures_native_server import NativeServer, Start, close
from native_kernels import build_bad_kernels
from rpc_messages import (
    MODULE,
    RETURN,
    TEXT,
    RawClient,
    begin,
    blob,
    find,
    integer,
    load,
)
from rpc_messages import call as call_message
from tvm import rpc
from tvm.error import RPCError, RPCSessionTimeoutError
from tvm.rpc import base


@pytest.fixture(scope="module")
def server(start_native: Start) -> Iterator[NativeServer]:
    with start_native() as started:
        yield started
        assert started.is_idle()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    arch = os.uname().machine
    return build_bad_kernels(arch, tmp_path_factory.mktemp("bad") / "bad.so")


def call(session: rpc.RPCSession, library: Path, kernel: str) -> np.ndarray:
    """What the kernel makes of two times the numbers from 0 to 63."""
    session.upload(str(library))
    numbers = np.arange(64, dtype="float32")
    tensors = [
        tvm.runtime.tensor(array, session.cpu()) for array in (numbers, numbers, 0 * numbers)
    ]
    session.load_module(library.name)[kernel](*tensors)
    return tensors[2].numpy()


def works(server: NativeServer, library: Path, key: str = "") -> bool:
    session = server.connect(key=key)
    found = call(session, library, "main")
    close(session)
    return server.is_idle() and np.array_equal(found, 2 * np.arange(64))


@pytest.mark.parametrize(
    "kernel, sentence",
    [
        ("crash", "what ran there crashed (signal 11, Segmentation fault)"),
        ("scribble", "what ran there crashed (signal 11, Segmentation fault)"),
        ("overflow", "what ran there crashed (signal 11, Segmentation fault)"),
        ("leave", "what ran there ended it (exit code 3)"),
        ("abort", "what ran there crashed (signal 6, Aborted)"),
    ],
)
def test_crash(server: NativeServer, library: Path, kernel: str, sentence: str) -> None:
    session = server.connect()
    with pytest.raises(RPCError, match=re.escape(f"the session is over: {sentence}")):
        call(session, library, kernel)
    assert works(server, library)


def test_kernel_that_wants_to_end_the_server(server: NativeServer, library: Path) -> None:
    """By calls of the system, all of which are refused; what is about itself is not."""
    session = server.connect()
    answers = call(session, library, "signal")[:9]
    np.testing.assert_array_equal(answers, 7 * [-errno.EPERM] + 2 * [0])
    close(session)
    assert works(server, library)


def test_connection_that_a_kernel_closes(server: NativeServer, library: Path) -> None:
    session = server.connect()
    with pytest.raises(Exception, match="RPC|[Cc]hannel|[Ss]ock"):
        call(session, library, "close")
    assert works(server, library)


@pytest.mark.parametrize("kernel, said", [("fail", "does not say why"), ("strange", "type 68")])
def test_failure_of_a_kernel_ends_nothing(
    server: NativeServer, library: Path, kernel: str, said: str
) -> None:
    session = server.connect()
    with pytest.raises(RPCError, match=said):
        call(session, library, kernel)
    np.testing.assert_array_equal(call(session, library, "main"), 2 * np.arange(64))
    close(session)


def test_process_that_a_kernel_leaves_behind(server: NativeServer, library: Path) -> None:
    session = server.connect()
    call(session, library, "fork")
    close(session)
    assert server.is_idle()


def test_time_of_a_session(server: NativeServer, library: Path) -> None:
    begin = time.monotonic()
    session = server.connect(0.5)
    with pytest.raises(RPCSessionTimeoutError, match="the session's 0.5 s are over"):
        call(session, library, "hang")
    assert time.monotonic() - begin < 10 and works(server, library)


def test_client_that_goes_while_a_kernel_hangs(server: NativeServer, library: Path) -> None:
    client = RawClient(server.port)
    client.say(load(library.read_bytes()) + find(b"tvm.rpc.server.ModuleGetFunction"))
    client.say(call_message(4, integer(3, MODULE), blob(b"hang", TEXT), integer(1)))
    client.say(call_message(5))
    # To the beginning, two functions, upload, library, the third function and the kernel.
    assert [client.answer()[0] for _ in range(7)] == 7 * [RETURN]
    client.socket.close()
    assert server.is_idle()
    assert "its client went away, and what ran there did not end" in server.log.read_text()


def test_strangers(server: NativeServer, library: Path) -> None:
    """Port scanners, other protocols and half a handshake keep nobody out."""
    silent = [RawClient(server.port, None) for _ in range(70)]
    for client, said in zip(
        silent, (b"GET / HTTP/1.1\r\n\r\n", b"\x71\xf2", b"\0" * 8), strict=False
    ):
        client.say(said)
    assert silent[0].is_ended()
    assert RawClient(server.port, "client:another").code == base.RPC_CODE_MISMATCH
    assert works(server, library)
    for client in silent:
        client.socket.close()


def test_next_client_waits(server: NativeServer, library: Path) -> None:
    first = RawClient(server.port)
    assert first.ask(begin()) == ""
    second = socket.create_connection(("127.0.0.1", server.port))
    assert first.ask(find(b"testing.echo")) == ""
    first.socket.close()
    second.close()
    assert works(server, library)


def test_nothing_is_left(start_native: Start, library: Path) -> None:
    """Files, connections and memory of the server are the same after many sessions as after one."""
    with start_native() as server:
        assert works(server, library)
        process = psutil.Process(server.process.pid)
        before = process.num_fds(), process.memory_info().rss
        for kernel in ("crash", "leave", "main") * 4:
            session = server.connect()
            try:
                call(session, library, kernel)
                close(session)
            except RPCError:
                pass
        assert server.is_idle()
        assert process.num_fds() == before[0]
        assert process.memory_info().rss < before[1] + (1 << 20)


def test_tracker(start_native: Start, tracker: tuple[str, int], library: Path) -> None:
    """TVM's own, and its client."""
    options = "--tracker", "{}:{}".format(*tracker), "--key", "phone"
    with start_native(*options) as server:
        for _ in range(2):
            session = rpc.connect_tracker(*tracker).request("phone", session_timeout=30)
            np.testing.assert_array_equal(call(session, library, "main"), 2 * np.arange(64))
            close(session)
        assert RawClient(server.port, "client:phone").code == base.RPC_CODE_MISMATCH


class LittleTracker:
    """A tracker that goes when it is told to."""

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(30)
        self.keys: list[str] = []

    def meet(self) -> socket.socket:
        """Take a connection whose client introduces itself, and offers a machine."""
        client, _ = self._listener.accept()
        client.settimeout(30)
        client.sendall(base.recvall(client, 4))
        return client

    def answer(self, client: socket.socket, what: object) -> list:
        said = base.recvjson(client)
        base.sendjson(client, what)
        return said

    def close(self) -> None:
        self._listener.close()


def test_tracker_that_goes_and_comes_back(start_native: Start) -> None:
    port = free_port()
    tracker = LittleTracker(port)
    command = start_native("--tracker", f"127.0.0.1:{port}", "--key", "phone")
    with ThreadPoolExecutor(1) as threads, closing(tracker):
        # The first one only asks whether a tracker is there.
        first = threads.submit(tracker.meet)
        with command as server:
            first.result().close()
            client = tracker.meet()
            said = tracker.answer(client, 0)
            assert said == [5, {"key": "server:phone", "addr": [None, server.port]}]
            code, key, (there, match_key), _ = tracker.answer(client, 0)
            assert (code, key, there) == (3, "phone", server.port)
            assert match_key.startswith("phone:0.")
            assert tracker.answer(client, [match_key]) == [7]
            client.close()
            client = tracker.meet()
            tracker.answer(client, 0)
            assert tracker.answer(client, 0)[2][1] != match_key
            client.sendall(b"\xff\xff\xff\x7f")  # An answer of 2 GB to a question to come.
            client = tracker.meet()
            tracker.answer(client, 0)
            tracker.answer(client, 0)
            assert "the tracker is back" in server.log.read_text()


def test_end_of_the_server_ends_its_session(start_native: Start, library: Path) -> None:
    with start_native() as server:
        session = RawClient(server.port)
        session.ask(begin())
        child = server.only_session()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 130 and not child.is_running()
        assert server.log.read_text().endswith("stopped\n")


def test_server_that_nobody_listens_to(native_server_file) -> None:
    """As one on a phone whose cable was pulled: the next `phone.py serve` would meet it there."""
    command = [native_server_file(os.uname().machine), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    with process.stderr:
        assert "waiting at" in process.stderr.readline()
    assert process.wait(20) == 130


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--prot", "1"], "there is no option --prot; --help lists them all"),
        (["--port"], "option --port needs a value"),
        (["--port", "70000"], "--port 70000 is not a number from 0 to 65535"),
        (["--port", ""], "--port  is not a number from 0 to 65535"),
        (["--tracker", "here"], "tracker here is not HOST:PORT, such as 127.0.0.1:9190"),
        (["--tracker", "127.0.0.1:1"], "tracker 127.0.0.1:1 knows machines by a key: add --key"),
        (["--tracker", "127.0.0.1:1", "--key", "a"], "no TVM tracker answers at 127.0.0.1:1"),
        (["--key", "my phone"], "key my phone has to be one word without quotes"),
        (["--host", "no.such.host.invalid"], "host no.such.host.invalid is not known here"),
        (["--tracker", "192.0.2.1:9190", "--key", "a"], "takes connections from this one only"),
        (["--most-megabytes", "0"], "--most-megabytes 0 is not a number from 1"),
    ],
)
def test_bad_options(native_server_file, options: list[str], sentence: str) -> None:
    command = [native_server_file(os.uname().machine), *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert sentence in result.stderr


def test_port_in_use(native_server_file, server: NativeServer) -> None:
    command = [native_server_file(os.uname().machine), "--port", str(server.port)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 2 and "cannot be taken (Address in use)" in result.stderr


def test_program_that_is_cut_short(native_server_file, tmp_path: Path) -> None:
    check_cut_program(native_server_file(os.uname().machine), tmp_path)


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_program_is_small_and_static(native_server_file, arch: str) -> None:
    content = native_server_file(arch).read_bytes()
    assert len(content) < 1 << 20 and b"ld-musl" not in content and b"/work/" not in content
