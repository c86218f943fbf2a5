"""Builds candidates in processes that live through the session.

They import what builds need and nothing else: MetaSchedule's own workers parse hundreds of
intrinsics for GPUs first, which takes them a minute.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import tvm

from compile.codegen.link.link import ExportLinker, LinkOptions
from compile.codegen.opencl.kernel_sources import kernel_sources
from compile.kernels.common.core_model import CoreModel
from compile.search.candidate import scheduled
from compile.search.kernel_task import KernelTask
from compile.support.scratch_space import check_scratch_space
from compile.support.worker_pool import WorkerPool
from targets.describe_target import tvm_target
from targets.spec import TargetSpec

_SECONDS = 30.0
# LLVM keeps what it has ever compiled.
_BUILDS_PER_WORKER = 300

#: Of a library's only function.
FUNCTION = "main"


@dataclass(frozen=True)
class Build:
    """A candidate's library, or why there is none.

    Attributes:
        library: of one function, :data:`FUNCTION`; None where it was not built.
        error: "" where it was.
    """

    library: Path | None
    error: str = ""


class CandidateBuilder(Protocol):
    """Builds libraries, here (:class:`Builder`) or elsewhere (cluster_builder.py)."""

    def build(self, candidates: Sequence[tuple[KernelTask, str]]) -> list[Build]:
        """Each kernel cut by the configuration beside it."""

    def close(self) -> None:
        """End what builds."""


class Builder:
    """Builds for ``spec``, into ``folder``, ``workers`` candidates at a time."""

    def __init__(
        self,
        spec: TargetSpec,
        core: CoreModel,
        folder: Path,
        workers: int,
        ndk_compiler: Path | None = None,
    ) -> None:
        self._core, self._folder, self._count = core, folder, 0
        link = LinkOptions(ndk_compiler=ndk_compiler)
        self._pool = WorkerPool(workers, _prepare, (spec, link), _BUILDS_PER_WORKER)

    def build(self, candidates: Sequence[tuple[KernelTask, str]]) -> list[Build]:
        """Each kernel cut by the configuration beside it.

        Raises:
            OutputError: there is no room for temporary files; no candidate is to blame.
        """
        jobs = []
        for task, configuration in candidates:
            self._count += 1
            path = self._folder / f"candidate{self._count}.so"
            jobs.append((task.family, task.module, self._core, configuration, path))
        outcomes = self._pool.run(_build, jobs, _SECONDS)
        check_scratch_space()
        return [
            Build(None, outcome.error) if outcome.error else Build(path)
            for outcome, (*_, path) in zip(outcomes, jobs, strict=True)
        ]

    def close(self) -> None:
        """End the processes."""
        self._pool.close()


# Of a process of the pool.
_spec: TargetSpec
_linker: ExportLinker


def _prepare(spec: TargetSpec, link: LinkOptions) -> None:
    global _spec, _linker
    _spec, _linker = spec, ExportLinker(spec, link)
    # Beside the session, which waits for these and paints a table.
    os.nice(1)


def _build(family: str, module: str, core: CoreModel, configuration: str, path: Path) -> None:
    build_library(family, module, core, configuration, path, _spec, _linker)


def build_library(
    family: str,
    module: str,
    core: CoreModel,
    configuration: str,
    path: Path,
    spec: TargetSpec,
    linker: ExportLinker,
) -> None:
    """Write the library of a kernel (its module as JSON), cut by ``configuration``, to ``path``."""
    schedule = scheduled(family, tvm.ir.load_json(module), core, configuration)
    export_module(schedule.mod, path, spec, linker)


def export_module(module: tvm.IRModule, path: Path, spec: TargetSpec, linker: ExportLinker) -> None:
    """Write the library of a kernel whose loops are cut to ``path``."""
    with kernel_sources(spec) as pipeline:
        library = tvm.compile(module, target=tvm_target(spec, 1), tir_pipeline=pipeline)
    library.export_library(str(path), fcompile=linker)
