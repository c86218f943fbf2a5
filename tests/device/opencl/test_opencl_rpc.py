"""The device over TVM's own RPC server, whose sessions are forks of it."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tvm
from fixtures_device import free_port
from opencl_kernels import add_module, check_add, conv_module, draw_input
from tvm import relax, rpc


@pytest.fixture(scope="module")
def server(opencl: tvm.runtime.Device, opencl_plugin: Path) -> Iterator[rpc.Server]:
    """TVM's server, with the plugin given by its option --load-library."""
    started = rpc.Server("127.0.0.1", free_port(), 65535, load_library=str(opencl_plugin))
    yield started
    started.terminate()


@pytest.fixture
def session(server: rpc.Server) -> rpc.RPCSession:
    # The server takes the next client when nothing of the last one's is left.
    gc.collect()
    return rpc.connect("127.0.0.1", server.port, session_timeout=60)


def _send(
    session: rpc.RPCSession, library: tvm.runtime.Executable, folder: Path
) -> tvm.runtime.Module:
    # A library that is loaded must not be written over.
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".so") as file:
        library.export_library(file.name)
        session.upload(file.name)
        return session.load_module(Path(file.name).name)


def test_network(session: rpc.RPCSession, tmp_path: Path):
    executable, in_numpy = conv_module()
    device = session.device("opencl", 0)
    machine = relax.VirtualMachine(_send(session, executable, tmp_path), device)
    x = draw_input()
    machine.set_input("main", tvm.runtime.tensor(x, device))
    machine.invoke_stateful("main")
    result = machine.get_outputs("main").numpy()
    np.testing.assert_allclose(result, in_numpy(x), rtol=1e-5, atol=1e-5)


def test_time(session: rpc.RPCSession, tmp_path: Path):
    device = session.device("opencl", 0)
    library = _send(session, add_module(), tmp_path)
    tensors = [tvm.runtime.tensor(np.ones(1000, "float32"), device) for _ in range(3)]
    measured = library.time_evaluator("main", device, number=10, repeat=3)(*tensors)
    assert all(0 < seconds < 1 for seconds in measured.results)
    np.testing.assert_array_equal(tensors[2].numpy(), np.full(1000, 2))


def test_an_error_ends_no_session(session: rpc.RPCSession, tmp_path: Path):
    device = session.device("opencl", 0)
    with pytest.raises(tvm.error.RPCError, match="cannot give a buffer of 35184372088832 bytes"):
        tvm.runtime.empty((1 << 45,), "int8", device)
    half = tvm.runtime.empty((1000,), "float16", device)
    with pytest.raises(tvm.error.RPCError, match="has no cl_khr_fp16"):
        _send(session, add_module(dtype="float16"), tmp_path)["main"](half, half, half)
    check_add(device, _send(session, add_module(), tmp_path))


def test_one_session_after_another(server: rpc.Server, tmp_path: Path):
    """Each is a process of its own that opens the driver anew."""
    for _ in range(3):
        session = rpc.connect("127.0.0.1", server.port, session_timeout=60)
        device = session.device("opencl", 0)
        assert device.exist
        check_add(device, _send(session, add_module(), tmp_path))
        del session, device
