"""The native server and what no client sends: sentences, and nothing that a sanitizer sees."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import REPOSITORY
from fixtures_native_server import NativeServer, Start, close
from hypothesis import given, settings
from hypothesis import strategies as st
from native_kernels import build_bad_kernels
from needed_in_ci import give_up
from rpc_messages import (
    DEVICE,
    INTEGER,
    MODULE,
    POINTER,
    TEXT,
    RawClient,
    begin,
    blob,
    call,
    find,
    integer,
    load,
    message,
    packed,
    tensor,
)

from device.server.native.build_server import OPTIONS, RUNTIME, SOURCES

INPUT = REPOSITORY / "tests/support/native/answer_input.c"

NUMBERS = st.one_of(
    st.integers(-2, 70), st.sampled_from([2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63), 4096])
)
NAMES = st.sampled_from(
    [
        b"tvm.rpc.server.upload",
        b"tvm.rpc.server.load_module",
        b"tvm.rpc.server.download",
        b"tvm.rpc.server.remove",
        b"tvm.rpc.server.listdir",
        b"tvm.rpc.server.ModuleGetFunction",
        b"runtime.RPCTimeEvaluator",
        b"runtime.config_threadpool",
        b"tvm.contrib.random.random_fill",
        b"testing.echo",
        b"mqnet.use_cores",
        b"main",
        b"a.so",
        b"",
    ]
)
HANDLES = NUMBERS.map(lambda number: number & 2**64 - 1)
VALUES = st.one_of(
    st.builds(
        integer, NUMBERS, st.sampled_from([INTEGER, POINTER, DEVICE, MODULE, 0, 2, 3, 5, 68])
    ),
    st.builds(blob, st.one_of(NAMES, st.binary(max_size=40)), st.sampled_from([TEXT, 9, 11, 65])),
    st.builds(
        tensor, HANDLES, st.lists(NUMBERS, max_size=4).map(tuple), st.integers(0, 4), HANDLES
    ),
)
MESSAGES = st.one_of(
    st.builds(find, NAMES),
    st.builds(lambda handle, values: call(handle, *values), HANDLES, st.lists(VALUES, max_size=13)),
    st.builds(
        lambda code, values: message(code, packed(*values)),
        st.integers(1, 25),
        st.lists(VALUES, max_size=5),
    ),
    st.builds(message, st.integers(0, 25), st.binary(max_size=60)),
    st.binary(max_size=60),
)


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The session as a program that reads its standard input, under the sanitizers."""
    compiler = shutil.which("gcc")
    if compiler is None:
        give_up("the native server", "no C compiler is installed (apt-get install gcc)")
    program = tmp_path_factory.mktemp("answer") / "answer"
    flags = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [compiler, *OPTIONS, *flags, "-I", str(SOURCES), "-I", str(RUNTIME), str(INPUT)]
    subprocess.run([*command, "-o", str(program), "-lm", "-pthread"], check=True)
    yield program


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A shared library, an object file, and that one in a packed .tar."""
    folder, arch = tmp_path_factory.mktemp("bad"), os.uname().machine
    paths = [build_bad_kernels(arch, folder / name) for name in ("bad.so", "bad.o")]
    with tarfile.open(folder / "bad.tar", "w:gz", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(paths[1], "bad.o")
    return [path.read_bytes() for path in (*paths, folder / "bad.tar")]


@pytest.fixture(scope="module")
def server(start_native: Start) -> Iterator[NativeServer]:
    with start_native("--most-megabytes", "64") as started:
        yield started
        assert started.is_idle()


def check(answer: Path, said: bytes) -> None:
    result = subprocess.run([answer], input=said, capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr.decode(errors="replace")[-4000:]
    assert result.stdout == b"all is as it should be\n" and result.stderr == b""


@settings(max_examples=150)
@given(st.lists(MESSAGES, max_size=12), st.booleans())
def test_any_bytes(answer: Path, messages: list[bytes], is_begun: bool) -> None:
    check(answer, (begin() if is_begun else b"") + b"".join(messages))


def test_libraries_as_they_are(answer: Path, libraries: list[bytes]) -> None:
    for library in libraries:
        check(answer, load(library))


@settings(max_examples=120)
@given(st.data())
def test_any_library(answer: Path, libraries: list[bytes], data: st.DataObject) -> None:
    """A right one of which some bytes are others, mostly in its tables."""
    library = data.draw(st.sampled_from(libraries))
    changed = bytearray(library)
    tables = st.one_of(
        st.integers(0, 600), st.integers(-2500, -1).map(len(library).__add__)
    ).filter(range(len(library)).__contains__)
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(tables)
        changed[at : at + 1] = bytes([data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))])
    size = data.draw(st.one_of(st.just(len(library)), st.integers(0, len(library))))
    check(answer, load(bytes(changed[:size])))


@pytest.mark.parametrize(
    "said, sentence",
    [
        (message(99, b""), "a message of kind 99, which this server does not know"),
        (begin(), "the session has begun already"),
        (message(9, packed(integer(1))), "argument 1 of the request cannot be of type 1"),
        (message(9, b"\xff\xff\xff\x7f"), "2147483647 arguments: 128 are the most"),
        (message(9, packed(blob(b"name", TEXT))[:-1]), "a message ends within its arguments"),
        (call(77), "what was called is no function of this session"),
        (message(3, struct.pack("<Q", 1) + packed(struct.pack("<ii", 42, 0))), "type 42"),
        (message(14, packed(integer(1, DEVICE), integer(4096, POINTER))), "had not been taken"),
        (message(7, tensor(4096, (4,))[4:] + struct.pack("<Q", 4) + b"1234"), "does not lie in"),
        (message(17, packed(tensor(0, (2**40, 2**40)), integer(0))), "more memory than the dev"),
        (message(17, packed(tensor(0, (-1,)), integer(0))), "more memory than the device has"),
        (message(17, packed(tensor(0, (1,) * 17), integer(0))), "17 dimensions: 16 are the most"),
    ],
)
def test_refusals(server: NativeServer, said: bytes, sentence: str) -> None:
    client = RawClient(server.port)
    assert client.ask(begin()) == ""
    assert sentence in client.ask(said)
    assert client.ask(find(b"testing.echo")) == ""
    client.socket.close()


def test_first_words(server: NativeServer) -> None:
    client = RawClient(server.port)
    assert client.ask(find(b"testing.echo")) == "the session has not begun"
    assert "version 0.7.0 of TVM's RPC and this server 0.8.0" in client.ask(begin(b"0.7.0"))
    assert "beyond this device" in client.ask(begin(b"0.8.0", blob(b"rpc.Connect", TEXT)))
    client.socket.close()


def test_messages_that_are_too_large(server: NativeServer) -> None:
    """One that comes is read and refused; one of 2 GB that is only said keeps no memory."""
    session = server.connect()
    with pytest.raises(Exception, match="67108864 are the most that this server takes"):
        session.upload(bytearray(65 << 20), "large")
    session.upload(bytearray(1 << 20), "small")
    close(session)
    assert server.is_idle()
    client = RawClient(server.port)
    client.say(struct.pack("<Q", 2 << 30) + bytes(1 << 20))
    assert server.only_session().memory_info().rss < 32 << 20
    client.socket.close()
    assert server.is_idle()
    client = RawClient(server.port)
    assert "bytes: 67108864 are the most" in client.ask(struct.pack("<Q", 2**63))
    assert client.is_ended()


def test_half_a_message_and_then_nothing(server: NativeServer) -> None:
    client = RawClient(server.port)
    client.say(begin()[:20])
    client.socket.close()
    assert server.is_idle()
    session = server.connect()
    close(session)
