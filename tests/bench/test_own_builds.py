"""What a latency session builds for each number of threads: one library, and another on request."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from bench.measure_latency import LatencyRequest, choose_networks, make_jobs
from bench.own_builds import OwnBuilds
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


def test_exact_builds_are_timed_only_where_they_are_named(tmp_path: Path) -> None:
    def chosen(against: str) -> set[str]:
        request = LatencyRequest(
            "host", (), (), (1,), against, "mixed", 1.0, None, tmp_path / "run.json"
        )
        return {engine for engine, _ in choose_networks(request)}

    assert "litert" in chosen("all") and "tvm-exact" not in chosen("all")
    assert chosen("tvm-exact") == {"tvm", "tvm-exact"}
