"""What a latency session builds for each number of threads: one library, and another on request."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from fixtures_artefacts import ArtefactFactory
from rich.console import Console

from bench.measure_latency import LatencyRequest, choose_networks, make_jobs
from bench.own_builds import OwnBuilds
from compile.artefact.reader import open_artefact
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from targets.load_target import load_target

SIZE = (32, 32)
HOST_THREADS = load_target("host").threads


@pytest.fixture
def builds(tmp_path: Path) -> OwnBuilds:
    return OwnBuilds("host", 3, tmp_path, Progress(Console(quiet=True)))


def test_one_build_runs_with_each_number_of_threads(builds: OwnBuilds, tmp_path: Path) -> None:
    networks = [("tvm", "fp32"), ("tvm-exact", "fp32"), ("pytorch", "fp32")]
    jobs = [job for n in (1, 3) for job in make_jobs(networks, (), SIZE, n, builds)]
    assert [(job.engine, job.threads) for job in jobs] == [
        (engine, threads) for threads in (1, 3) for engine in ("tvm", "tvm-exact", "pytorch")
    ]
    ours, exact, _, ours_again, exact_again, _ = (job.artefact for job in jobs)
    assert ours == ours_again == tmp_path / f"host-fp32-32x32-{max(HOST_THREADS, 3)}"
    assert (exact, exact_again) == (tmp_path / "host-fp32-32x32-1", tmp_path / "host-fp32-32x32-3")


def test_builds_of_one_kind_are_told_apart(tmp_path: Path, artefact: ArtefactFactory) -> None:
    """By their folders, by whole paths where these have one name, and only where it is needed."""
    one, other, same = tmp_path / "one", tmp_path / "other", tmp_path / "below/one"
    for folder in (one, other, same):
        shutil.copytree(artefact(size=SIZE, scheme="fp32").library.parent, folder)
    builds = OwnBuilds("host", 1, tmp_path, Progress(Console(quiet=True)))

    def labels(*folders: Path) -> list[str]:
        jobs = make_jobs([], [open_artefact(folder) for folder in folders], SIZE, 1, builds)
        return [job.build for job in jobs]

    assert labels(one) == [""]
    assert labels(one, other) == ["one", "other"]
    assert labels(one, other, same) == [str(one), "other", str(same)]


def test_a_build_for_a_chosen_instruction_set_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is not what the machine has: else its time would be taken for the machine's."""
    least = {"x86_64": "sse4", "aarch64": "neon"}[os.uname().machine]
    builds = OwnBuilds(f"host:{least}", 1, tmp_path, Progress(Console(quiet=True)))
    (job,) = make_jobs([("tvm", "fp32")], (), SIZE, 1, builds)
    assert job.build == least and job.artefact.name.startswith(f"host-{least}-fp32")
    built = open_artefact(job.artefact)
    assert built.manifest.target.variant == least
    (given,) = make_jobs([], [built], SIZE, 1, builds)
    assert given.build == least
    monkeypatch.setattr(
        f"{make_jobs.__module__}.load_target", lambda _: load_target(f"host:{least}")
    )
    (same,) = make_jobs([], [built], SIZE, 1, builds)
    assert same.build == ""


def test_exact_builds_are_timed_only_where_they_are_named(tmp_path: Path) -> None:
    def chosen(against: str) -> set[str]:
        request = LatencyRequest(
            "host", (), (), (1,), against, "mixed", 1.0, None, tmp_path / "run.json"
        )
        return {engine for engine, _ in choose_networks(request)}

    assert "litert" in chosen("all") and "tvm-exact" not in chosen("all")
    assert "tvm-standalone" not in chosen("all")
    assert chosen("tvm-exact,tvm-standalone") == {"tvm", "tvm-exact", "tvm-standalone"}


def test_another_network_is_timed_beside_what_runs_any(tmp_path: Path) -> None:
    def chosen(against: str) -> set[str]:
        request = LatencyRequest(
            "host", (), (), (1,), against, "all", 1.0, None, tmp_path / "run.json", "unet"
        )
        return {engine for engine, _ in choose_networks(request)}

    assert {"tvm", "pytorch", "pytorch-compiled", "litert", "openvino"} <= chosen("all")
    assert "tvm-stock" not in chosen("all")
    with pytest.raises(MqnetError, match="tvm-stock runs MQNet only, and network unet"):
        chosen("tvm-stock")
