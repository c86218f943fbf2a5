"""Stock TVM's client and the native server: kernels uploaded, called and timed, here and on an
EMULATED arm64."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tvm
from fixtures_native_server import NativeServer, Start, close
from native_kernels import build_kernels
from tvm import rpc
from tvm.error import RPCError

from compile.codegen.standalone.machine import architecture
from device.client.connection import last_line
from targets.load_target import load_target

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module", params=["host", "linux-arm64"])
def target(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def server(start_native: Start, target: str) -> Iterator[NativeServer]:
    with start_native(arch=architecture(load_target(target).machine)) as started:
        yield started
        assert started.is_idle()


@pytest.fixture(scope="module")
def library(target: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_kernels(target, tmp_path_factory.mktemp("kernels") / "kernels.so")


@pytest.fixture
def session(server: NativeServer) -> Iterator[rpc.RPCSession]:
    opened = server.connect()
    yield opened
    close(opened)


def tensors(session: rpc.RPCSession) -> list[tvm.runtime.Tensor]:
    a, b = (RANDOM.random(1000, "float32") for _ in range(2))
    arrays = a, b, np.zeros(1000, "float32")
    return [tvm.runtime.tensor(array, session.cpu()) for array in arrays]


def loaded(session: rpc.RPCSession, library: Path) -> tvm.runtime.Module:
    session.upload(str(library))
    return session.load_module(library.name)


def test_addition_and_what_it_is_not_given(session: rpc.RPCSession, library: Path) -> None:
    module, (a, b, c) = loaded(session, library), tensors(session)
    module["addition"](a, b, c)
    np.testing.assert_allclose(c.numpy(), np.exp(a.numpy()) + b.numpy(), rtol=1e-6)
    with pytest.raises(RPCError, match="the kernel failed: Expected 3 arguments"):
        module["addition"](a, b)
    with pytest.raises(AttributeError, match="no function 'subtraction'"):
        module["subtraction"]
    with pytest.raises(RPCError, match="no tensor and no number"):
        module["addition"](a, b, "c")


def test_convolution_of_int8(session: rpc.RPCSession, library: Path) -> None:
    data = RANDOM.integers(-128, 128, (1, 10, 10, 16), "int8")
    weight = RANDOM.integers(-128, 128, (3, 3, 16, 8), "int8")
    out = tvm.runtime.empty((1, 8, 8, 8), "int32", session.cpu())
    arrays = (tvm.runtime.tensor(array, session.cpu()) for array in (data, weight))
    loaded(session, library)["convolution"](*arrays, out)
    windows = np.lib.stride_tricks.sliding_window_view(data[0].astype(int), (3, 3), (0, 1))
    np.testing.assert_array_equal(out.numpy()[0], np.einsum("yxkij,ijkc->yxc", windows, weight))


def test_times(session: rpc.RPCSession, library: Path) -> None:
    module, arguments = loaded(session, library), tensors(session)
    evaluate = module.time_evaluator("addition", session.cpu(), number=3, repeat=5)
    results = evaluate(*arguments).results
    assert len(results) == 5 and min(results) > 0
    # Twice as long as asked for at most, or the machine was busy; never shorter.
    cpu = session.get_function("mqnet.cpu_seconds")
    before = cpu()
    evaluate = module.time_evaluator(
        "addition",
        session.cpu(),
        number=1,
        repeat=2,
        min_repeat_ms=20,
        cooldown_interval_ms=1,
        f_preproc="cache_flush_cpu_non_first_arg",
        cache_flush_bytes=1 << 20,
    )
    assert len(evaluate(*arguments).results) == 2 and cpu() - before > 0.02


def test_large_tensors_come_back_as_they_were(session: rpc.RPCSession) -> None:
    array = RANDOM.integers(0, 256, 20 << 20, "uint8")
    tensor = tvm.runtime.tensor(array, session.cpu())
    np.testing.assert_array_equal(tensor.numpy(), array)
    other = tvm.runtime.empty(array.shape, "uint8", session.cpu())
    tensor.copyto(other)
    np.testing.assert_array_equal(other.numpy(), array)


def test_files(session: rpc.RPCSession) -> None:
    session.upload(bytearray(b"some"), "a.bin")
    session.upload(bytearray(b"others"), "a.bin")
    assert session.download("a.bin") == b"others" and session.listdir("/") == "a.bin"
    session.remove("a.bin")
    with pytest.raises(RPCError) as caught:
        session.download("a.bin")
    assert last_line(caught.value) == "no file of the name a.bin was uploaded"


def test_no_gpu_and_no_network(session: rpc.RPCSession) -> None:
    assert not session.cl().exist and session.cpu().exist
    with pytest.raises(RPCError, match="only the processor is served here, not device 4:0"):
        tvm.runtime.empty((4,), "float32", session.cl())


def test_library_of_another_machine(
    session: rpc.RPCSession, target: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = "linux-arm64" if architecture(load_target(target).machine) != "aarch64" else "host"
    path = build_kernels(other, tmp_path_factory.mktemp("other") / "other.so")
    with pytest.raises(RPCError, match="it was built for .*, and this device is"):
        loaded(session, path)


@pytest.mark.parametrize("ending", [".tar", ".o"])
def test_object_files_are_linked(
    session: rpc.RPCSession, target: str, ending: str, tmp_path: Path
) -> None:
    """As stock TVM uploads them where no linker knows the device."""
    library = build_kernels(target, tmp_path / "kernels.tar", stock=True)
    if ending == ".o":
        with tarfile.open(library) as archive:
            (name,) = archive.getnames()
            archive.extractall(tmp_path, filter="data")
        library = tmp_path / name
    module, (a, b, c) = loaded(session, library), tensors(session)
    module["addition"](a, b, c)
    np.testing.assert_allclose(c.numpy(), np.exp(a.numpy()) + b.numpy(), rtol=1e-6)
    with pytest.raises(RPCError, match="the kernel failed: Expected 3 arguments"):
        module["addition"](a, b)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="links for this machine")
def test_as_stock_tvm_links_it(start_native: Start, tmp_path: Path) -> None:
    library = build_kernels("host", tmp_path / "stock.so", stock=True)
    with start_native() as server:
        session = server.connect()
        module, (a, b, c) = loaded(session, library), tensors(session)
        module["addition"](a, b, c)
        np.testing.assert_allclose(c.numpy(), np.exp(a.numpy()) + b.numpy(), rtol=1e-6)
