"""Opens what measures a session: this machine, or the devices of a farm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from compile.kernels.common.core_model import CoreModel
from compile.search.build_candidates import CandidateBuilder
from compile.search.candidate import all_configurations
from compile.search.expected_results import ExpectedResults
from compile.search.farm import Farm
from compile.search.host_runner import HostRunner
from compile.search.kernel_task import KernelTask
from compile.search.reference_kernel import reference_task
from compile.search.runner import Runner
from compile.support.errors import TargetError
from targets.spec import TargetSpec


@dataclass(frozen=True)
class Measurer:
    """What measures, whenever it is opened.

    Attributes:
        spec: target that is tuned.
        farm: devices, or None to measure on this machine.
        reference: the reference kernel and its library.
        expected: results of kernels.
    """

    spec: TargetSpec
    farm: Farm | None
    reference: tuple[KernelTask, Path]
    expected: ExpectedResults

    def open(self, threads: int) -> Runner:
        """Open it for kernels on ``threads`` threads.

        Raises:
            TargetError: no device can be used, or what is built for the target does not run there.
        """
        task, library = self.reference
        job = task.arguments, library
        if self.farm is None:
            return HostRunner(threads, job, self.spec)
        farm = self.farm.with_threads(threads)
        return farm.runner(self.spec, job, self.expected.of(task))

    def last_runner(
        self, runner: Runner, threads: int
    ) -> Callable[[], AbstractContextManager[Runner]]:
        """Make what opens the runner of the last round in the place of ``runner``, which measures
        on ``threads`` threads: on as many as builds for the target use."""
        most = min(self.spec.threads, runner.device["cores"])
        if most == threads:
            return lambda: nullcontext(runner)

        def open_last() -> AbstractContextManager[Runner]:
            # A device has one session at a time.
            runner.close()
            return closing(self.open(most))

        return open_last


def build_reference(builder: CandidateBuilder, core: CoreModel) -> tuple[KernelTask, Path]:
    """Build the reference kernel by its default configuration.

    Raises:
        TargetError: it does not build, and so nothing will.
    """
    task = reference_task()
    default, _ = all_configurations(task.family, task.load(), core)
    (build,) = builder.build([(task, default)])
    if build.library is None:
        raise TargetError(f"the reference kernel does not build: {build.error}")
    return task, build.library
