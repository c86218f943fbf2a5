"""The row of a GPU in a latency session: what is timed, and what it is called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tvm
from fixtures_artefacts import SIZE, ArtefactFactory

from bench import latency
from bench.engines.engine import Job
from bench.engines.tvm_artefact import TvmArtefact
from bench.session.rows import make_rows
from bench.session.session import Measured
from bench.session.worker import Worker
from compile.support.errors import MqnetError
from device.runtime.gpu_name import POCL_WARNING, gpu_name

MALI = {"name": "Mali-G610 r0p0", "driver": "3.0", "platform": "OpenCL 3.0 v1.g6p0"}


def test_a_gpu_is_called_by_its_name() -> None:
    assert gpu_name(MALI) == "Mali-G610 r0p0 by driver 3.0"


def test_pocl_is_called_what_it_is(opencl: tvm.runtime.Device, artefact: ArtefactFactory) -> None:
    job = Job("tvm", "mixed", SIZE, 1, artefact("host-opencl").library.parent)
    version = TvmArtefact(job).version
    assert POCL_WARNING in version
    environment = {"emulated": "", "busy_cores": 0.0}
    (row,) = make_rows([Measured(job, version=version)], environment)
    assert row["flags"] == [POCL_WARNING]
    (row,) = make_rows([Measured(job, version=f"0.27 on {gpu_name(MALI)}")], environment)
    assert row["flags"] == []


def test_memory_of_a_gpu_is_not_that_of_the_process(
    opencl: tvm.runtime.Device, artefact: ArtefactFactory
) -> None:
    """What the process grows by is the driver's compiler: nothing is said, and no bar drawn."""
    options = latency.Options(target="host-opencl")
    built = artefact("host-opencl")
    (ours, peer) = latency._jobs(options, [("litert-gpu", "mixed")], [built], SIZE, 1)
    assert ours.on_gpu and peer.on_gpu
    worker = Worker(ours, [0])
    try:
        worker.output(np.zeros((*SIZE, 3), np.uint8))
        memory = worker.memory()
    finally:
        worker.close()
    assert memory.activations is None and memory.peak > 1e6
    measured = Measured(ours, wall=[[0.1, 0.1]], cpu=[[0.1, 0.1]], memory=memory, version="x")
    (row,) = make_rows([measured], {"emulated": "", "busy_cores": 0.0})
    assert row["activation_mb"] is None and row["peak_rss_mb"] > 1


@pytest.mark.parametrize(("target", "has_fp16"), [("host-opencl", False), ("linux-mali", True)])
def test_all_schemes_are_those_that_the_gpu_has(target: str, has_fp16: bool) -> None:
    networks = latency._networks(latency.Options(target=target))
    assert (("tvm", "fp16") in networks) == has_fp16
    assert ("litert", "fp16") in networks and ("tvm", "mixed") in networks


def test_weights_in_images_are_a_row_of_a_gpu() -> None:
    asked = {"against": "tvm-images", "schemes": "mixed"}
    networks = latency._networks(latency.Options(target="linux-mali", **asked))
    assert networks == [("tvm", "mixed"), ("tvm-images", "mixed")]
    with pytest.raises(MqnetError, match="target host is no GPU, so it has no images"):
        latency._networks(latency.Options(**asked))
    given = latency.Options(target="linux-mali", artefact=(Path("build/mine"),), **asked)
    with pytest.raises(MqnetError, match="tvm-images is built by the session"):
        latency._networks(given)
    everything = latency._networks(latency.Options(against="all"))
    assert not {"tvm-images", "litert-gpu"} & {engine for engine, _ in everything}
