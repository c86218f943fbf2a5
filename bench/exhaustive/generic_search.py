"""What stock MetaSchedule finds for a kernel: its generic space, its evolutionary search, its cost
model; only what builds and what measures is ours, for its own builder needs minutes to start."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import tvm
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule

from compile.codegen.link.link import ExportLinker, LinkOptions
from compile.kernels.common.tensor_intrinsics import tensor_intrinsics_of
from compile.search.build_candidates import export_module
from compile.search.kernel_task import KernelTask
from compile.search.tuning_session import SessionResources
from compile.support.scratch_folder import scratch_folder
from compile.support.standard_streams import native_stderr_silenced
from compile.support.worker_pool import WorkerPool
from targets.describe_target import tvm_target
from targets.spec import TargetSpec

_SECONDS = 30.0
_BUILDS_PER_WORKER = 300
_BATCH = 16


class GenericResult(msgspec.Struct, frozen=True):
    """Of one kernel.

    Attributes:
        kernel: its hash, as tuning logs write it.
        trials: candidates that were tried.
        measured: of them, how many ran.
        seconds: of a call of the fastest that computes what it should; None where none does.
        took: seconds of the whole search.
    """

    kernel: str
    trials: int
    measured: int
    seconds: float | None
    took: float


def search_generic_space(
    task: KernelTask, spec: TargetSpec, tools: SessionResources, workers: int, trials: int
) -> GenericResult:
    """Search MetaSchedule's generic space of ``task`` with ``trials`` candidates.

    Args:
        task: a kernel without a schedule.
        spec: target that it is compiled for.
        tools: what measures, and what the kernel should compute.
        workers: processes that build.
        trials: the most candidates.
    """
    began = time.monotonic()
    with scratch_folder("mqnet-generic-") as folder:
        pool = WorkerPool(workers, _prepare, (spec,), _BUILDS_PER_WORKER)
        with closing(pool), tensor_intrinsics_of(_intrinsics(spec)), native_stderr_silenced():
            builder = _Builder(pool, folder)
            runner = _Runner(task, tools)
            context = meta_schedule.TuneContext(
                mod=task.load(),
                target=tvm_target(spec, 1),
                space_generator="post-order-apply",
                search_strategy="evolutionary",
                task_name=task.name,
                rand_state=1,
                num_threads=1,
            )
            meta_schedule.tune.tune_tasks(
                tasks=[context],
                task_weights=[1.0],
                work_dir=str(folder),
                max_trials_global=trials,
                num_trials_per_iter=min(_BATCH, trials),
                builder=builder,
                runner=runner,
                database="memory",
                # Without the one that removes what was built: it is still to be checked.
                measure_callbacks=[
                    meta_schedule.measure_callback.AddToDatabase(),
                    meta_schedule.measure_callback.UpdateCostModel(),
                ],
                task_scheduler="round-robin",
            )
        seconds = runner.best_that_is_right()
    return GenericResult(
        task.key, runner.tried + builder.failed, runner.measured, seconds, time.monotonic() - began
    )


def _intrinsics(spec: TargetSpec) -> str:
    return "arm_cpu" if spec.machine == "EM_AARCH64" else "x86"


# Of a process of the pool.
_spec: TargetSpec
_linker: ExportLinker


def _prepare(spec: TargetSpec) -> None:
    global _spec, _linker
    _spec, _linker = spec, ExportLinker(spec, LinkOptions())


def _build(module: str, path: Path) -> None:
    export_module(tvm.ir.load_json(module), path, _spec, _linker)


@derived_object
class _Builder(meta_schedule.builder.PyBuilder):
    """MetaSchedule's candidates, built by our workers."""

    def __init__(self, pool: WorkerPool, folder: Path) -> None:
        super().__init__()
        self._pool, self._folder, self._count = pool, folder, 0
        self.failed = 0

    def build(
        self, build_inputs: Sequence[meta_schedule.builder.BuilderInput]
    ) -> list[meta_schedule.builder.BuilderResult]:
        jobs = []
        for one in build_inputs:
            self._count += 1
            jobs.append((tvm.ir.save_json(one.mod), self._folder / f"generic{self._count}.so"))
        results = []
        for outcome, (_, path) in zip(self._pool.run(_build, jobs, _SECONDS), jobs, strict=True):
            self.failed += bool(outcome.error)
            artefact = None if outcome.error else str(path)
            results.append(meta_schedule.builder.BuilderResult(artefact, outcome.error or None))
        return results


@derived_object
class _Runner(meta_schedule.runner.PyRunner):
    """Measures on whatever measures our candidates."""

    def __init__(self, task: KernelTask, tools: SessionResources) -> None:
        super().__init__()
        self._task, self._tools = task, tools
        self._found: dict[Path, float] = {}
        self.tried = self.measured = 0

    def run(
        self, runner_inputs: Sequence[meta_schedule.runner.RunnerInput]
    ) -> list[meta_schedule.runner.RunnerFuture]:
        libraries = [Path(str(one.artifact_path)) for one in runner_inputs]
        jobs = [(self._task.arguments, library) for library in libraries]
        measurements = self._tools.runner.measure(jobs)
        self.tried += len(jobs)
        futures = []
        for library, measurement in zip(libraries, measurements, strict=True):
            if not measurement.error:
                self.measured += 1
                self._found[library] = measurement.mean
            result = meta_schedule.runner.RunnerResult(
                list(measurement.seconds) or None, measurement.error or None
            )
            futures.append(_done(result))
        return futures

    def best_that_is_right(self) -> float | None:
        """Seconds of the fastest whose results are the kernel's."""
        expected = self._tools.expected.of(self._task)
        for library, seconds in sorted(self._found.items(), key=lambda pair: pair[1]):
            if not self._tools.runner.check(self._task.arguments, library, expected):
                return seconds
        return None


def _done(
    result: meta_schedule.runner.RunnerResult,
) -> meta_schedule.runner.RunnerFuture:
    return meta_schedule.runner.RunnerFuture(lambda: True, lambda: result)
