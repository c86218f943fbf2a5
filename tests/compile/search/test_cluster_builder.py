"""Builds on a Dask cluster of two local workers: shared out, and given on where a worker dies."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tvm
from command_line import in_fork
from distributed import Client, LocalCluster, Worker
from tuned_network import TUNED

from compile.backends.backend_for import cpu_core
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.search import cluster_builder
from compile.search.candidate import all_configurations
from compile.search.cluster_builder import BuildCluster, ClusterBuilder
from compile.search.kernel_task import kernel_task
from compile.support.errors import MqnetError, TargetError
from targets.load_target import load_target

HOST = load_target("host")
UNIT = cpu_core(HOST, 1)
KERNEL = create_pointwise((1, 8, 12, 5), 24, "float32", "float32", ConvEpilogue(EpilogueKind.BIAS))
CONV = kernel_task("conv", "pointwise", KERNEL, inputs=3)
BUILTIN = all_configurations(CONV.family, CONV.load(), UNIT)[0]
SILENT = {"dashboard_address": None, "silence_logs": 50}


@pytest.fixture(scope="module")
def workers() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, **SILENT) as cluster:
        yield cluster


@pytest.fixture
def builder(workers: LocalCluster, tmp_path: Path) -> Iterator[ClusterBuilder]:
    with closing(BuildCluster(workers.scheduler_address)) as cluster:
        yield ClusterBuilder(cluster, HOST, UNIT, tmp_path)


def executed(dask_worker: Worker) -> int:
    return dask_worker.state.executed_count


def check_computes(library: Path) -> None:
    """What the kernel's plain loops do."""
    results = []
    for module in (tvm.compile(CONV.load(), target="llvm"), tvm.runtime.load_module(str(library))):
        tensors = [tvm.runtime.tensor(array) for array in CONV.arguments.draw()]
        module["main"](*tensors)
        results.append(tensors[-1].numpy())
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)
    assert len(np.unique(results[0])) > 2


def test_two_workers_share_a_batch(builder: ClusterBuilder, workers: LocalCluster) -> None:
    builds = builder.build([(CONV, BUILTIN)] * 7 + [(CONV, "other=7")])
    assert [bool(build.error) for build in builds] == [False] * 7 + [True]
    assert len({build.library for build in builds[:7]}) == 7
    check_computes(builds[0].library)
    with Client(workers.scheduler_address, set_as_default=False) as client:
        # Not by a function of this file, which has PyTorch imported.
        imported = client.run(eval, "{'torch', 'tvm'} & set(__import__('sys').modules)")
        assert list(imported.values()) == [{"tvm"}] * 2
        assert all(count >= 2 for count in client.run(executed).values())


def test_worker_that_dies_costs_no_candidate(
    builder: ClusterBuilder, workers: LocalCluster
) -> None:
    with Client(workers.scheduler_address, set_as_default=False) as client:
        victim = min(client.run(os.getpid).values())

        def end_when_it_builds() -> None:
            deadline = time.monotonic() + 20
            while not any(client.processing().values()) and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=end_when_it_builds)
        killer.start()
        builds = builder.build([(CONV, BUILTIN)] * 12)
        killer.join()
        assert victim not in client.run(os.getpid).values()
    assert not any(build.error for build in builds)
    check_computes(builds[-1].library)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_builder, "_SECONDS_TO_CONNECT", 1.0)


@pytest.mark.usefixtures("impatient")
def test_cluster_that_is_not_there() -> None:
    with pytest.raises(TargetError, match=r"no Dask scheduler answers at tcp://127.0.0.1:1 .*mend"):
        BuildCluster("tcp://127.0.0.1:1")
    with pytest.raises(MqnetError, match=r"build-workers '127.0.0.1:1' is not tcp://HOST:PORT"):
        BuildCluster("127.0.0.1:1")


@pytest.mark.usefixtures("impatient")
def test_cluster_without_workers() -> None:
    with (
        LocalCluster(n_workers=0, **SILENT) as cluster,
        pytest.raises(TargetError, match="has no workers: start some by dask worker"),
    ):
        BuildCluster(cluster.scheduler_address)


@pytest.mark.slow
def test_session_whose_worker_dies_goes_on(workers: LocalCluster, tmp_path: Path) -> None:
    options = "--target", "host", *TUNED, "--logs", tmp_path, "--trials", 24, "--json"
    address = workers.scheduler_address
    with Client(address, set_as_default=False) as client:
        victim = max(client.run(os.getpid).values())

        def end_in_the_middle() -> None:
            deadline = time.monotonic() + 120
            while not list(tmp_path.glob("*/database_tuning_record.json")):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.kill(victim, signal.SIGKILL)

        killer = threading.Thread(target=end_in_the_middle)
        killer.start()
        outcome = in_fork("compile/tune", *options, "--build-workers", address)
        killer.join()
        assert victim not in client.run(os.getpid).values()
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["trials"] == 24
    assert not any(kernel["failed"] for kernel in found["kernels"])


@pytest.mark.slow
def test_scheduler_that_goes_away(tmp_path: Path) -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, **SILENT) as cluster:
        gone = BuildCluster(cluster.scheduler_address)
    with closing(gone), pytest.raises(TargetError, match="start .*same command goes on"):
        ClusterBuilder(gone, HOST, UNIT, tmp_path).build([(CONV, BUILTIN)])
