"""The row of a GPU in a latency session: what is timed, and what it is called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tvm
from fixtures_artefacts import SIZE, ArtefactFactory
from rich.console import Console

from bench.engines.engine import Job
from bench.engines.tvm_artefact import TvmArtefact
from bench.measure_latency import LatencyRequest, choose_networks, make_jobs
from bench.own_builds import OwnBuilds
from bench.session.interleave import Measured
from bench.session.rows import make_rows
from bench.session.worker import Worker
from compile.support.errors import MqnetError
from compile.support.frame import frame_of
from compile.support.progress import Progress
from device.runtime.gpu_name import POCL_WARNING, gpu_name

MALI = {"name": "Mali-G610 r0p0", "driver": "3.0", "platform": "OpenCL 3.0 v1.g6p0"}


def request(target: str, **options: Any) -> LatencyRequest:
    """As of the command line's defaults."""
    defaults = LatencyRequest(target, (), (), (1,), "litert", "all", 1.0, None, Path("run.json"))
    return replace(defaults, **options)


def test_a_gpu_is_called_by_its_name() -> None:
    assert gpu_name(MALI) == "Mali-G610 r0p0 by driver 3.0"


def test_pocl_is_called_what_it_is(opencl: tvm.runtime.Device, artefact: ArtefactFactory) -> None:
    job = Job("tvm", "mixed", SIZE, 1, artefact("host-opencl").library.parent)
    engine = TvmArtefact()
    engine.load(job)
    version = engine.version
    assert POCL_WARNING in version
    environment = {"emulated": "", "busy_cores": 0.0}
    (row,) = make_rows([Measured(job, version=version)], environment)
    assert row.flags == (POCL_WARNING,)
    (row,) = make_rows([Measured(job, version=f"0.27 on {gpu_name(MALI)}")], environment)
    assert row.flags == ()


def test_memory_of_a_gpu_is_not_that_of_the_process(
    opencl: tvm.runtime.Device, artefact: ArtefactFactory, tmp_path: Path
) -> None:
    """What the process grows by is the driver's compiler: nothing is said, and no bar drawn."""
    built = artefact("host-opencl")
    builds = OwnBuilds("host-opencl", 1, tmp_path, Progress(Console(quiet=True)))
    (ours, peer) = make_jobs([("litert-gpu", "mixed")], [built], SIZE, 1, builds)
    assert ours.on_gpu and peer.on_gpu
    worker = Worker(ours, [0])
    try:
        worker.outputs(frame_of(np.zeros((*SIZE, 3), np.uint8)))[0][0]
        needed = worker.footprint()
    finally:
        worker.close()
    assert needed.activations is None and needed.peak > 1e6
    measured = Measured(ours, wall=[[0.1, 0.1]], cpu=[[0.1, 0.1]], footprint=needed, version="x")
    (row,) = make_rows([measured], {"emulated": "", "busy_cores": 0.0})
    assert row.activation_mb is None and row.peak_rss_mb > 1


@pytest.mark.parametrize(("target", "has_fp16"), [("host-opencl", False), ("linux-mali", True)])
def test_all_schemes_are_those_that_the_gpu_has(target: str, has_fp16: bool) -> None:
    networks = choose_networks(request(target))
    assert (("tvm", "fp16") in networks) == has_fp16
    assert ("litert", "fp16") in networks and ("tvm", "mixed") in networks


def test_weights_in_images_are_a_row_of_a_gpu() -> None:
    asked = {"against": "tvm-images", "schemes": "mixed"}
    networks = choose_networks(request("linux-mali", **asked))
    assert networks == [("tvm", "mixed"), ("tvm-images", "mixed")]
    with pytest.raises(MqnetError, match="target host is no GPU, so it has no images"):
        choose_networks(request("host", **asked))
    given = request("linux-mali", artefacts=(Path("build/mine"),), **asked)
    with pytest.raises(MqnetError, match="tvm-images is built by the session"):
        choose_networks(given)
    everything = choose_networks(request("host", against="all"))
    assert not {"tvm-images", "litert-gpu"} & {engine for engine, _ in everything}
