"""What the native server says of its machine, and what it refuses to load or to run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import REPOSITORY
from fixtures_native_server import NativeServer, Start, close
from tvm import rpc
from tvm.error import RPCError

from compile.codegen.standalone.zig import musl, run_zig
from compile.support.errors import TargetError
from device.client.connection import Connection, last_line
from device.server.machine import describe_machine

SOURCES = REPOSITORY / "device/server/native"


@pytest.fixture(scope="module")
def server(start_native: Start) -> Iterator[NativeServer]:
    with start_native() as started:
        yield started


@pytest.fixture
def session(server: NativeServer) -> Iterator[rpc.RPCSession]:
    opened = server.connect()
    yield opened
    close(opened)


def test_same_facts_as_the_server_in_python(session: rpc.RPCSession) -> None:
    facts = Connection(session, 1).facts
    expected = describe_machine()
    changing = "busy_cores", "python", "mhz"
    assert {name: facts[name] for name in expected if name not in changing} == {
        name: value for name, value in expected.items() if name not in changing
    }
    assert facts["busy_cores"] >= 0 and facts["server"] == "mqnet-rpc-server"
    assert facts["mhz"] is None or facts["mhz"] > 0


def test_cores(session: rpc.RPCSession) -> None:
    cores = len(os.sched_getaffinity(0))
    with pytest.raises(RPCError, match=f"more than the {cores} cores that there are"):
        session.get_function("mqnet.use_cores")(cores + 1)
    assert session.get_function("mqnet.use_cores")(1) in [f"[{n}]" for n in range(64)]


def test_networks_are_refused_at_the_client(session: rpc.RPCSession) -> None:
    connection = Connection(session, 1)
    for needs in ("mqnet.tvm.load", "mqnet.litert.load", "mqnet.opencl"):
        with pytest.raises(TargetError, match="by mqnet-rpc-server, which runs single kernels"):
            connection.need_function(needs)


@pytest.mark.parametrize(
    "source, sentence",
    [
        ("const char __tvm_ffi__library_bin[8] = {0};", "it is a network for TVM's virtual mach"),
        ("void *__TVMFFIFunctionCall;", "it calls TVMFFIFunctionCall, which this server does not"),
        ("extern int system(char *); int f(void) { return system(0); }", "it calls system, which"),
        ("_Thread_local int a; int f(void) { return ++a; }", "it has variables of threads"),
    ],
)
def test_libraries_that_are_refused(
    session: rpc.RPCSession, source: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "a.c").write_text(source)
    for output, flag in (("a.so", "-shared"), ("a.o", "-c")):
        options = ["-target", musl(os.uname().machine), "-fPIC", "-nostdlib", "-O1", flag]
        run_zig(["cc", *options, "a.c", "-o", output], tmp_path)
        session.upload(str(tmp_path / output))
        with pytest.raises(RPCError) as caught:
            session.load_module(output)
        assert last_line(caught.value).startswith(f"{output} cannot be loaded: {sentence}")


def test_files_that_are_no_libraries(session: rpc.RPCSession) -> None:
    for content in (b"", b"\x7fELF", b"#!/bin/sh\nrm -rf /\n", b"\x1f\x8b\x08" + bytes(40)):
        session.upload(bytearray(content), "a.so")
        with pytest.raises(RPCError, match="a.so cannot be loaded: it is"):
            session.load_module("a.so")


def test_lines_are_short_and_plain() -> None:
    for path in SOURCES.glob("*.[ch]"):
        lines = path.read_text().splitlines()
        assert len(lines) <= 400, path
        for number, line in enumerate(lines, start=1):
            assert len(line) <= 100 and line == line.rstrip() and "\t" not in line, (path, number)
