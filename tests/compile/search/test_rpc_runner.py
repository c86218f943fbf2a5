"""Measuring over TVM's RPC: this machine served as boards that work, die, hang, lie and drift."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Timer

import numpy as np
import pytest
import tvm
from fixtures_device import Served, free_port
from tvm.script import tirx as T

from compile.backends.backend_for import cpu_core
from compile.codegen.link.link import ExportLinker
from compile.kernels.common.core_model import CpuCore
from compile.search import rpc_runner
from compile.search.build_candidates import Builder
from compile.search.candidate import all_configurations
from compile.search.expected_results import ExpectedResults
from compile.search.farm import Farm, open_farm
from compile.search.kernel_task import TaskArguments
from compile.search.measuring_device import MeasuringDevice
from compile.search.reference_kernel import reference_task
from compile.search.rpc_runner import Job, RpcRunner
from compile.support.errors import TargetError
from compile.support.outcome import Outcome
from device.client import device_session
from device.client.address import DeviceAddress
from device.client.request import count_devices
from targets.describe_target import tvm_target
from targets.load_target import load_target

HOST = load_target("host")
UNIT: CpuCore = cpu_core(HOST, 1)


@pytest.fixture(autouse=True)
def no_rest(noise_is_no_drift: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_runner, "_SECONDS_TO_CALM", 0.0)
    monkeypatch.setattr(rpc_runner, "_FIRST_LOOKS", 1)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Job], Path]:
    """The reference kernel by its default configuration and two others, and its right results."""
    folder, task = tmp_path_factory.mktemp("built"), reference_task()
    choices = all_configurations(task.family, task.load(), UNIT)[1][:3]
    with closing(Builder(HOST, UNIT, folder, 1)) as builder:
        builds = builder.build([(task, choice) for choice in choices])
    with closing(ExpectedResults(folder)) as expected:
        return [(task.arguments, build.library) for build in builds], expected.of(task)


def bad_library(function: tvm.tirx.PrimFunc, path: Path) -> Path:
    """``function`` in the place of the reference kernel."""
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    tvm.compile(module, target=tvm_target(HOST, 1)).export_library(
        str(path), fcompile=ExportLinker(HOST)
    )
    return path


@T.prim_func(s_tir=True)
def crashing(
    data: T.Buffer((1, 32, 32, 64), "float32"),
    weight: T.Buffer((64, 64), "float32"),
    bias: T.Buffer((64,), "float32"),
    out: T.Buffer((1, 32, 32, 64), "float32"),
):
    for _ in range(1):
        with T.sblock("x"):
            T.evaluate(T.call_extern("int32", "abort"))
            out[0, 0, 0, 0] = data[0, 0, 0, 0] + weight[0, 0] + bias[0]


@T.prim_func(s_tir=True)
def hanging(
    data: T.Buffer((1, 32, 32, 64), "float32"),
    weight: T.Buffer((64, 64), "float32"),
    bias: T.Buffer((64,), "float32"),
    out: T.Buffer((1, 32, 32, 64), "float32"),
):
    for _ in range(1):
        with T.sblock("x"):
            T.evaluate(T.call_extern("int32", "sleep", 3000))
            out[0, 0, 0, 0] = data[0, 0, 0, 0] + weight[0, 0] + bias[0]


@T.prim_func(s_tir=True)
def wrong(
    data: T.Buffer((1, 32, 32, 64), "float32"),
    weight: T.Buffer((64, 64), "float32"),
    bias: T.Buffer((64,), "float32"),
    out: T.Buffer((1, 32, 32, 64), "float32"),
):
    for y, x, c in T.grid(32, 32, 64):
        with T.sblock("x"):
            vy, vx, vc = T.axis.remap("SSS", [y, x, c])
            out[0, vy, vx, vc] = data[0, vy, vx, vc] + weight[0, 0] + bias[0]


def farm(address: DeviceAddress) -> Farm:
    return open_farm(f"{address.host}:{address.port}", address.key, 1, 0.0)


@contextmanager
def runner(served: Served, built: tuple[list[Job], Path]) -> Iterator[RpcRunner]:
    with closing(farm(served.address).runner(HOST, built[0][0], built[1])) as made:
        yield made


def test_measures_and_checks(board: Served, built: tuple[list[Job], Path]) -> None:
    jobs, expected = built
    with runner(board, built) as made:
        measurements = made.measure(jobs)
        assert all(0 < m.mean < 1 and not m.error for m in measurements)
        assert all(made.check(*job, expected) == "" for job in jobs)
        assert 0 < made.reference() < 1
        assert made.device["cpu"] and made.device["emulated"] == ""
        (session,) = board.sessions()
        assert os.listdir(session.cwd()) == []
    assert made.warnings == []


def test_cooldown_is_kept(board: Served, built: tuple[list[Job], Path]) -> None:
    found = farm(board.address)
    found = replace(found, options=replace(found.options, cooldown=0.3))
    with closing(found.runner(HOST, built[0][0], built[1])) as made:
        began = time.monotonic()
        made._members[0].device.measure(*built[0][0])
        # Six repetitions and the first one, with a rest before each but the first.
        assert time.monotonic() - began > 5 * 0.3


def test_wrong_candidate(board: Served, built: tuple[list[Job], Path], tmp_path: Path) -> None:
    with runner(board, built) as made:
        arguments = built[0][0][0]
        library = bad_library(wrong, tmp_path / "wrong.so")
        assert made.check(arguments, library, built[1]).startswith("off by ")
        assert made.warnings == [], "the device computes the reference kernel right"


def test_crashing_candidate(board: Served, built: tuple[list[Job], Path], tmp_path: Path) -> None:
    jobs, expected = built
    bad = jobs[0][0], bad_library(crashing, tmp_path / "crash.so")
    with runner(board, built) as made:
        results = made.measure([jobs[0], bad, jobs[1]])
        assert [bool(result.error) for result in results] == [False, True, False]
        assert "what ran there crashed" in results[1].error
        assert "what ran there crashed" in made.check(*bad, expected)
        assert made.warnings == []


@pytest.mark.slow
def test_hanging_candidate(
    board: Served, built: tuple[list[Job], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It alone has little time: on a busy machine a good one may need more than that."""
    jobs, _ = built
    bad = jobs[0][0], bad_library(hanging, tmp_path / "hang.so")
    measure = MeasuringDevice.measure

    def measure_soon(device: MeasuringDevice, arguments: TaskArguments, library: Path) -> Outcome:
        with monkeypatch.context() as patched:
            if library == bad[1]:
                patched.setattr(device, "_options", replace(device._options, task_seconds=4.0))
            return measure(device, arguments, library)

    monkeypatch.setattr(MeasuringDevice, "measure", measure_soon)
    # The board is free ten seconds after each session that it costs.
    monkeypatch.setattr(rpc_runner, "_MOST_CRASHES", 1)
    with runner(board, built) as made:
        results = made.measure([bad, jobs[1]])
        assert results[0].error == "no end within 4 s" and not results[1].error
        assert made.warnings == []


def test_board_that_is_stopped(
    board: Served, built: tuple[list[Job], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tracker still knows it, and its port takes connections."""
    monkeypatch.setattr(device_session, "_SECONDS_TO_FREE", 0.0)
    with runner(board, built) as made, board.stopped():
        give_little_time(made)
        message = r"no device is left \(device 1 does not come back .*the same command goes on"
        with pytest.raises(TargetError, match=message):
            made.measure(built[0])
    assert board.becomes_free()


def give_little_time(made: RpcRunner) -> None:
    """From here on: it was met as a good board, which needs more on a busy machine."""
    for member in made._members:
        device = member.device
        device._options = replace(device._options, task_seconds=3.0)
        device._session._most_seconds = 6.0


def test_board_that_is_continued(board: Served, built: tuple[list[Job], Path]) -> None:
    with runner(board, built) as made, board.stopped():
        Timer(1.0, board.send, [signal.SIGCONT]).start()
        assert all(not one.error for one in made.measure(built[0]))
        assert made.warnings == []


@pytest.mark.slow
def test_many_boards_share_the_work(
    serve: Callable[..., AbstractContextManager[Served]],
    built: tuple[list[Job], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rpc_runner, "_SECONDS_TO_RETURN", 2.0)  # None does.
    jobs, _ = built
    with serve("farm") as first, serve("farm", name="farm-two") as second:
        wait_for_both(first)
        with runner(first, built) as made:
            assert len(made._members) == 2
            assert len(first.sessions()) == len(second.sessions()) == 1
            assert all(not m.error for m in made.measure(jobs * 6))
            # One dies in the middle: the other one does its share, too.
            second.vanish()
            results = made.measure(jobs * 3)
            assert len(results) == 9 and all(not m.error for m in results)
            (trouble,) = made.warnings
            assert "is gone" in trouble and "used no more" in trouble
            first.vanish()
            with pytest.raises(TargetError, match="no device is left .*: mend them, and the same"):
                made.measure(jobs)


def wait_for_both(served: Served) -> None:
    deadline = time.monotonic() + 60
    while count_devices(served.address) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_board_that_lies(board: Served, built: tuple[list[Job], Path], tmp_path: Path) -> None:
    """It computes the reference kernel wrong: here, because something else is expected of it."""
    with np.load(built[1]) as arrays:
        np.savez(tmp_path / "other.npz", *(array + 1 for array in arrays.values()))
    with pytest.raises(TargetError, match=r"device 1 computes wrong results \(off by .*\)"):
        farm(board.address).runner(HOST, built[0][0], tmp_path / "other.npz")


def test_board_that_drifts(
    board: Served, built: tuple[list[Job], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, _ = built
    with runner(board, built) as made:
        made._members[0].reference *= 100
        monkeypatch.setattr("compile.search.runner._DRIFT", 0.5)
        assert all(not one.error for one in made.measure(jobs))
        assert "has another speed than at first (reference kernel: -9" in made.warnings[0]


def test_device_of_another_architecture(board: Served, built: tuple[list[Job], Path]) -> None:
    with pytest.raises(TargetError, match="cortex-a76 does not run on device 'board'"):
        farm(board.address).runner(load_target("cortex-a76"), built[0][0], built[1])


def test_no_device_of_the_key(board: Served) -> None:
    address = board.address
    with pytest.raises(TargetError, match="no device of key 'other' .*'board'"):
        open_farm(f"{address.host}:{address.port}", "other", 1, 0.0)


def test_no_tracker() -> None:
    with pytest.raises(TargetError, match="no TVM tracker answers at 127.0.0.1:"):
        open_farm(f"127.0.0.1:{free_port()}", "x", 1, 0.0)


def test_arguments_are_the_same_there(built: tuple[list[Job], Path]) -> None:
    arguments: TaskArguments = built[0][0][0]
    for first, second in zip(arguments.draw(), arguments.draw(), strict=True):
        np.testing.assert_array_equal(first, second)
