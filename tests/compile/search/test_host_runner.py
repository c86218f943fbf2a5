"""Measuring on this machine: what it refuses before anything is measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from compile.backends.backend_for import cpu_core
from compile.search import host_runner
from compile.search.build_candidates import Build
from compile.search.host_runner import HostRunner
from compile.search.kernel_task import KernelTask
from compile.search.measurer import build_reference
from compile.search.reference_kernel import reference_task
from compile.support.errors import TargetError
from compile.support.outcome import Outcome
from targets.load_target import load_target

# What PoCL says of itself with POCL_MAX_WORK_GROUP_SIZE=32.
SMALL_GPU = {
    **{"name": "a small GPU", "driver": "1", "platform": "Some"},
    **{"work_group": 32, "extensions": ""},
}


class Pool:
    """Stands for a worker process, which describes a GPU and runs nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def run(self, function: object, arguments: list, seconds: float) -> list[Outcome]:
        if function is host_runner.describe_opencl:
            return [Outcome(json.dumps(SMALL_GPU))]
        return [Outcome(error="out of memory") for _ in arguments]

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_runner, "WorkerPool", Pool)


@contextmanager
def runner(target: str) -> Iterator[HostRunner]:
    reference = reference_task().arguments, Path("reference.so")
    with closing(HostRunner(1, reference, load_target(target))) as made:
        yield made


def test_work_groups_that_the_gpu_does_not_take() -> None:
    message = r"host-opencl does not run on this machine: a small GPU takes work groups of 32"
    with pytest.raises(TargetError, match=message), runner("host-opencl"):
        pass


def test_code_for_another_system() -> None:
    message = "target android-arm64 does not run on this machine: .* --tracker"
    with pytest.raises(TargetError, match=message), runner("android-arm64"):
        pass


def test_reference_kernel_that_does_not_run() -> None:
    with (
        runner("host") as made,
        pytest.raises(TargetError, match="the reference kernel failed: out of memory"),
    ):
        made.reference()


def test_reference_kernel_that_does_not_build() -> None:
    class Builder:
        def build(self, candidates: list[tuple[KernelTask, str]]) -> list[Build]:
            return [Build(None, "no linker for target 'host': install gcc")]

        def close(self) -> None:
            pass

    with pytest.raises(TargetError, match="kernel does not build: no linker .*: install gcc"):
        build_reference(Builder(), cpu_core(load_target("host"), 1))
