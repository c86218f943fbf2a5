"""The row of a GPU in a latency session: what is timed, and what it is called."""

from __future__ import annotations

from pathlib import Path

import pytest
import tvm
from fixtures_artefacts import SIZE, ArtefactFactory

from bench import latency
from bench.baselines.engine import Job
from bench.baselines.tvm_artefact import TvmArtefact
from bench.timing.rows import make_rows
from bench.timing.session import Measured
from compile.errors import MqnetError
from targets.gpu_name import POCL_WARNING, gpu_name

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
