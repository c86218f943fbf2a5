"""Engines in their processes: what they compute, and what becomes of a session without one."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from fixtures_artefacts import ArtefactFactory
from needed_in_ci import give_up

from bench.engines.engine import Job
from bench.engines.registry import ENGINES
from bench.session.interleave import measure
from bench.session.worker import Worker
from compile.imaging.bundled import bundled_photos
from compile.imaging.decode_hdr import decode_hdr, mu_law
from compile.imaging.metrics import psnr
from compile.imaging.read_photo import read_photo
from compile.networks.export_wrapper import ExportWrapper
from compile.networks.mqnet.checkpoints import load_checkpoint
from compile.networks.run_module import run_module
from compile.support.frame import frame_of
from compile.support.outcome import WorkerError

SIZE = (64, 96)
PYTORCH = Job("pytorch", "fp32", SIZE, 1)


def photo(size: tuple[int, int]) -> np.ndarray:
    return read_photo(bundled_photos("test")[0])[: size[0], : size[1]]


@cache
def reference(size: tuple[int, int]) -> np.ndarray:
    return run_module(ExportWrapper(load_checkpoint(None, "ca")).eval(), photo(size))


@pytest.fixture
def no_litert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where LiteRT is not installed."""
    package = tmp_path / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").write_text(
        "raise ModuleNotFoundError('as if not installed', name='ai_edge_litert')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "scheme", "least_db"),
    [
        ("litert", "fp32", 80),
        ("litert", "fp16", 45),
        ("litert", "w8a32", 35),
        ("litert", "w8a16", 20),
        ("litert", "int8", 18),
        ("litert", "mixed", 40),
        ("litert-gpu", "fp32", 80),
        ("litert-gpu", "fp16", 45),
        ("litert-gpu", "w8a32", 35),
        ("litert-gpu", "mixed", 40),
        ("onnxruntime", "fp32", 80),
        ("onnxruntime", "int8", 18),
        ("onnxruntime", "mixed", 45),
        ("openvino", "fp32", 80),
        ("openvino", "int8", 18),
        ("openvino", "mixed", 45),
        ("pytorch-compiled", "fp32", 80),
        ("tvm-stock", "fp32", 80),
    ],
)
def test_every_peer_computes_the_network(
    engine: str, scheme: str, least_db: float, request: pytest.FixtureRequest
):
    """The bound of each is far below what it reaches and far above what another network would."""
    if engine == "litert-gpu":
        request.getfixturevalue("software_vulkan")
    if engine == "pytorch-compiled" and shutil.which("g++") is None:
        give_up("torch.compile", "no g++ on PATH")
    size = (256, 256)
    worker = Worker(Job(engine, scheme, size, 1), [0])
    try:
        h = worker.outputs(frame_of(photo(size)))[0][0]
        needed = worker.footprint()
    finally:
        worker.close()
    assert psnr(mu_law(decode_hdr(h)), mu_law(decode_hdr(reference(size)))) > least_db
    assert 1e6 < needed.activations < needed.peak
    assert needed.start_seconds > 1e-3 and needed.files > 5e5
    # PyTorch is mapped before it is asked for where the command has imported it.
    assert needed.libraries > 1e5


def test_all_schemes_of_the_peers_are_tested():
    (mark,) = (m for m in test_every_peer_computes_the_network.pytestmark if m.args)
    tested = {(engine, scheme) for engine, scheme, _ in mark.args[1]}
    assert tested == {
        (name, scheme)
        for name, engine in ENGINES.items()
        if not engine.is_ours and name != "pytorch"
        for scheme in engine.schemes
    }


def test_two_engines_in_turns(artefact: ArtefactFactory):
    jobs = [Job("tvm", "mixed", SIZE, 1, artefact().library.parent), PYTORCH]
    said: list[str] = []
    ours, theirs = measure(
        jobs, [frame_of(photo(SIZE))], [frame_of(reference(SIZE))], 1.0, said.append
    )
    assert said[0] == "tvm mixed starts" and said[-1].startswith("round")
    for result in (ours, theirs):
        assert result.problem == ""
        assert len(result.wall) == len(result.cpu) >= 2
        assert all(0 < seconds < 5 for visit in result.wall for seconds in visit)
        # Nothing else runs in the process, and the clocks tick differently.
        assert np.sum(result.cpu) < 1.2 * np.sum(result.wall)
    assert 40 < ours.psnr_db < 90 < theirs.psnr_db


def test_an_engine_that_is_not_installed_is_a_row_that_says_so(no_litert: None):
    jobs = [Job("litert", "mixed", SIZE, 1), PYTORCH]
    missing, there = measure(
        jobs, [frame_of(photo(SIZE))], [frame_of(reference(SIZE))], 0.5, lambda _: None
    )
    assert missing.problem == "not installed (ai_edge_litert)" and missing.wall == []
    assert there.problem == "" and there.wall


def test_a_size_that_no_file_was_converted_for():
    with pytest.raises(WorkerError, match=r"litert-mixed-64x96\.tflite is not there.*make peers"):
        Worker(Job("litert", "mixed", SIZE, 1), [0])


@pytest.mark.parametrize("turn", [2, 6])
def test_an_engine_that_dies_leaves_the_others_running(monkeypatch: pytest.MonkeyPatch, turn: int):
    """While it warms up, or later in a turn."""
    turns = []

    def killed_in_a_turn(self: Worker, count: int) -> tuple[list[float], list[float]]:
        turns.append(self)
        if len(turns) == turn:
            os.kill(self._process.pid, signal.SIGKILL)
        return time_frames(self, count)

    time_frames = Worker.time_frames
    monkeypatch.setattr(Worker, "time_frames", killed_in_a_turn)
    results = measure(
        [PYTORCH, PYTORCH],
        [frame_of(photo(SIZE))],
        [frame_of(reference(SIZE))],
        0.5,
        lambda _: None,
    )
    dead, alive = sorted(results, key=lambda result: not result.problem)
    assert dead.problem == "crashed (SIGKILL)"
    assert alive.problem == "" and len(alive.wall) > len(dead.wall)


def test_what_was_measured_before_ctrl_c_is_kept():
    def interrupt(said: str) -> None:
        if said.startswith("round 3 of"):
            threading.Timer(0, os.kill, (os.getpid(), signal.SIGINT)).start()
            time.sleep(20)
            pytest.fail("the signal did not come")

    (result,) = measure(
        [PYTORCH], [frame_of(photo(SIZE))], [frame_of(reference(SIZE))], 600, interrupt
    )
    assert result.problem == "interrupted"
    assert len(result.wall) == 2


def test_a_stopped_worker_takes_no_time():
    worker = Worker(PYTORCH, [0])
    try:
        worker.outputs(frame_of(photo(SIZE)))[0][0]
        with open(f"/proc/{worker._process.pid}/stat") as file:
            assert file.read().rpartition(")")[2].split()[0] == "T"
    finally:
        worker.close()
