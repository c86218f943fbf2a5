"""Engines on a device, which is this machine by way of a tracker: what they compute, and what is
left behind."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from command_line import needs_lld, x86_only
from fixtures_artefacts import ArtefactFactory
from fixtures_device import Served, free_port
from tunnel import tunnel
from tvm import rpc

from bench.engines.engine import Job
from bench.engines.litert import LiteRT
from bench.session.device import device_environment, open_device
from bench.session.interleave import measure
from bench.session.rows import make_rows
from compile.artefact.compatibility import TargetNeeds
from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from compile.support.errors import TargetError
from compile.support.frame import frame_of
from compile.support.outcome import NoAnswer, WorkerError
from device.client.address import DeviceAddress
from device.runtime.run_artefact import Session

SIZE = (64, 96)
LITERT_SIZE = (256, 256)


def photo(size: tuple[int, int]) -> np.ndarray:
    return np.ascontiguousarray(read_photo(bundled_photos("test")[0])[: size[0], : size[1]])


def ours(artefact: ArtefactFactory) -> Job:
    return Job("tvm", "mixed", SIZE, 1, artefact().library.parent)


def test_our_build_computes_there_what_it_does_here(board: Served, artefact: ArtefactFactory):
    with open_device(board.address) as device:
        engine = device.start(ours(artefact))
        got = engine.outputs(frame_of(photo(SIZE)))[0][0]
        wall, cpu = engine.time_frames(3)
        (session,) = board.sessions()
        assert os.listdir(session.cwd()) == []  # What was uploaded is removed.
    np.testing.assert_array_equal(got, Session(artefact()).run(photo(SIZE))[0])
    assert len(wall) == 3 and all(0 < seconds < 5 for seconds in wall)
    # A mean that has the untimed frame in it; on one core no more than the time that passed.
    assert len(cpu) == 1 and 0 < cpu[0] < 2 * max(wall)


@pytest.mark.parametrize("engine", ["tvm", "tvm-standalone"])
def test_two_builds_of_one_scheme(board: Served, artefact: ArtefactFactory, engine: str):
    """Each is what it is, though the loader of the device goes by names."""
    standalone = engine == "tvm-standalone"
    builds = [artefact(standalone=standalone), artefact(attention="none", standalone=standalone)]
    with open_device(board.address) as device:
        engines = [
            device.start(Job(engine, "mixed", SIZE, 1, built.library.parent)) for built in builds
        ]
        got = [engine.outputs(frame_of(photo(SIZE)))[0][0] for engine in engines]
    for found, built in zip(got, builds, strict=True):
        np.testing.assert_array_equal(found, Session(built).run(photo(SIZE))[0])


@pytest.mark.parametrize("scheme", ["mixed", "int8"])
def test_litert_computes_there_what_it_does_here(board: Served, scheme: str):
    job = Job("litert", scheme, LITERT_SIZE, 1)
    here = LiteRT()
    here.load(job)
    here.set_inputs(frame_of(photo(LITERT_SIZE)))
    here.run()
    with open_device(board.address) as device:
        engine = device.start(job)
        got = engine.outputs(frame_of(photo(LITERT_SIZE)))[0][0]
        wall, cpu = engine.time_frames(2)
        (session,) = board.sessions()
        assert os.listdir(session.cwd()) == []
    np.testing.assert_array_equal(got, here.outputs()[0][0])
    assert engine.version == here.version
    assert len(wall) == len(cpu) == 2 and min(wall) > 0 and min(cpu) > 0


def test_turns_on_a_device_and_rows_of_it(board: Served, artefact: ArtefactFactory):
    jobs = [
        ours(artefact),
        Job("litert", "mixed", SIZE, 1),
        Job("onnxruntime", "mixed", SIZE, 1),
    ]
    reference = Session(artefact()).run(photo(SIZE))[0]
    with open_device(board.address) as device:
        results = measure(
            jobs, [frame_of(photo(SIZE))], [frame_of(reference)], 0.5, lambda _: None, device
        )
        environment = device_environment(device)
    timed, no_file, no_way = make_rows(results, environment)
    assert timed.p10_ms <= timed.p50_ms <= timed.p90_ms and timed.cpu_ms > 0
    assert timed.peak_rss_mb is timed.activation_mb is None
    assert "litert-mixed-64x96.tflite is not there" in no_file.flags[0]
    assert no_way.flags == (
        "cannot be run on a device: only tvm, tvm-images, tvm-exact, tvm-standalone, litert and "
        "litert-gpu can",
    )
    assert environment["device"]["key"] == "board" and environment["device"]["apache-tvm"]
    assert environment["cpu"] and environment["emulated"] == ""


def test_a_device_that_vanishes(own_board: Served, artefact: ArtefactFactory):
    def vanish(said: str) -> None:
        if said.startswith("round 3 of"):
            own_board.vanish()

    jobs, reference = [ours(artefact), ours(artefact)], Session(artefact()).run(photo(SIZE))[0]
    with open_device(own_board.address) as device:
        results = measure(jobs, [frame_of(photo(SIZE))], [frame_of(reference)], 600, vanish, device)
        for result in results:
            assert "the device went away" in result.problem
            # An engine whose visit took long on a busy machine waits for its next.
            assert 1 <= len(result.wall) <= 2
        assert device.gone
        with pytest.raises(NoAnswer, match="went away"):
            device.start(jobs[0])


def test_ctrl_c_leaves_the_device_free(board: Served, artefact: ArtefactFactory):
    def interrupt(said: str) -> None:
        if said.startswith("round 3 of"):
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()

    reference = Session(artefact()).run(photo(SIZE))[0]
    with open_device(board.address) as device:
        (result,) = measure(
            [ours(artefact)], [frame_of(photo(SIZE))], [frame_of(reference)], 20, interrupt, device
        )
    assert result.problem == "interrupted" and len(result.wall) >= 2
    with open_device(board.address) as device:
        assert device.facts["machine"] == os.uname().machine


def test_a_session_that_crashes_leaves_the_server_running(board: Served, artefact: ArtefactFactory):
    with open_device(board.address) as device:
        engine = device.start(ours(artefact))
        board.sessions()[0].send_signal(signal.SIGILL)
        with pytest.raises(NoAnswer, match="or what ran there crashed"):
            engine.time_frames(1)
    with open_device(board.address) as device:
        engine = device.start(ours(artefact))
        with pytest.raises(WorkerError, match="failed on the device: No inputs set"):
            engine.time_frames(1)
        assert engine.outputs(frame_of(photo(SIZE)))[0][0].shape == (*SIZE, 3)
    said = board.log.read_text()
    assert "what ran there crashed (SIGILL)" in said and "Traceback" not in said


def test_the_server_ends_with_its_sessions(own_board: Served):
    with open_device(own_board.address):
        (session,) = own_board.sessions()
        folder = Path(session.cwd())
        assert folder.is_dir()
        own_board.process.terminate()
        assert own_board.process.wait(20) == 130
        assert not psutil.pid_exists(session.pid) and not folder.exists()
    said = own_board.log.read_text()
    assert said.endswith("stopped\n") and "Traceback" not in said


def test_a_device_without_our_server(tracker: tuple[str, int], artefact: ArtefactFactory):
    """As one that runs TVM's own: our build is timed, and what is not known is null."""
    stock = rpc.Server(
        *("127.0.0.1", free_port(), 65535),
        **{"tracker_addr": tracker, "key": "stock", "silent": True},
    )
    address = DeviceAddress(*tracker, "stock")
    try:
        tracked = rpc.connect_tracker(*tracker)
        while not tracked.summary()["queue_info"].get("stock", {}).get("free"):
            pass
        jobs = [ours(artefact), Job("litert", "mixed", LITERT_SIZE, 1)]
        reference = Session(artefact()).run(photo(SIZE))[0]
        with open_device(address) as device:
            device.check_runs("linux-arm64", TargetNeeds("EM_AARCH64", (), "linux-arm64"))
            results = measure(
                jobs, [frame_of(photo(SIZE))], [frame_of(reference)], 0.2, lambda _: None, device
            )
            environment = device_environment(device)
    finally:
        stock.terminate()
    timed, untimed = make_rows(results, environment)
    assert timed.p50_ms > 0 and timed.cpu_ms is None and timed.version is None
    assert timed.flags[0] == "the device does not say what it is"
    assert "has no Python" in untimed.flags[1]
    assert environment["cpu"] is environment["emulated"] is environment["cores"] is None
    json.dumps(environment)


def test_builds_for_another_machine(board: Served, artefact: ArtefactFactory):
    other = {"x86_64": "EM_AARCH64", "aarch64": "EM_X86_64"}[os.uname().machine]
    with open_device(board.address) as device:
        with pytest.raises(TargetError, match=f"{other}.*the device is .*linux-arm64"):
            device.check_runs("other", TargetNeeds(other, (), "host"))
        needs = artefact().needs
        device.check_runs("host", needs)
        with pytest.raises(TargetError, match="amx_int8000, which the device lacks"):
            device.check_runs("host", replace(needs, requires=("amx_int8000",)))


@needs_lld
@x86_only
def test_a_library_of_another_architecture(board: Served, artefact: ArtefactFactory):
    foreign = artefact("linux-arm64").library.parent
    with (
        open_device(board.address) as device,
        pytest.raises(WorkerError, match="linux-arm64 does not run there: it holds EM_AARCH64"),
    ):
        device.start(Job("tvm", "mixed", SIZE, 1, foreign))


def test_a_device_at_the_end_of_a_tunnel(
    tracker: tuple[str, int],
    serve: Callable[..., AbstractContextManager[Served]],
    artefact: ArtefactFactory,
):
    """The help's ssh command: the server is open to the board's loopback only, and the tracker says
    the computer's, where the tunnel begins."""
    inside, port, near = "127.0.0.2", free_port(), free_port()
    there = ("--tracker", f"{inside}:{near}", "--host", inside, "--port", str(port))
    with (
        tunnel((inside, near), tracker),
        tunnel(("127.0.0.1", port), (inside, port)),
        serve("tunnelled", extra=there) as served,
        open_device(served.address) as device,
    ):
        engine = device.start(ours(artefact))
        assert engine.outputs(frame_of(photo(SIZE)))[0][0].shape == (*SIZE, 3)
        assert len(engine.time_frames(2)[0]) == 2


def test_more_threads_than_cores(board: Served):
    with (
        pytest.raises(TargetError, match="threads 999 is more than the"),
        open_device(board.address, 999),
    ):
        pass
