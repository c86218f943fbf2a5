"""Measures candidates on this machine, in a process of its own that is pinned to its cores.

Every kernel is called again and again with the same arguments, so its weights and as much of its
data as fits are in the caches, as in a network most of it is: there the kernel before has just
written it. Nothing else of the session works meanwhile: on a machine with two cores a build beside
a measurement would share its caches and its clock.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm

from compile.artefact.compatibility import MachineFacts, TargetNeeds, why_not
from compile.search.build_candidates import FUNCTION
from compile.search.gpu_facts import gpu_facts
from compile.search.kernel_task import TaskArguments
from compile.search.runner import Measurement, wrong_result
from compile.search.time_calls import time_library
from compile.support.errors import TargetError
from compile.support.worker_pool import WorkerPool
from device.runtime.opencl_device import describe_opencl
from device.runtime.run_artefact import use_threads
from device.server.machine import describe_machine, fastest_cores
from targets.spec import TargetSpec

_SECONDS = 60.0


class HostRunner:
    """See :class:`compile.search.runner.Runner`; kernels that are built for the target ``spec`` run
    on ``threads`` threads, or on this machine's GPU.

    Raises:
        TargetError: there is none, or they do not run here.
    """

    def __init__(
        self, threads: int, reference: tuple[TaskArguments, Path], spec: TargetSpec
    ) -> None:
        self.device: dict[str, Any] = describe_machine()
        self.warnings: list[str] = []
        self._reference = reference
        # The last ones: the first core is where most systems serve their interrupts.
        cores = sorted(fastest_cores(len(os.sched_getaffinity(0))))[-threads:]
        on_gpu = spec.gpu is not None
        self._pool = WorkerPool(1, _prepare, (cores, on_gpu))
        try:
            if on_gpu:
                # There, for OpenCL does not survive the forks of this process.
                (described,) = self._pool.run(describe_opencl, [()], _SECONDS)
                if described.error:
                    raise TargetError(f"no OpenCL: {described.error}")
                self.device = gpu_facts(self.device, json.loads(described.value))
            reason = why_not(TargetNeeds.of(spec), MachineFacts.here(self.device.get("opencl")))
            if reason is not None:
                raise TargetError(
                    f"what is built for target {spec.name} does not run on this machine: {reason}; "
                    "name a device by --tracker and --key, or another target, such as host"
                )
        except BaseException:
            self.close()
            raise

    def measure(self, jobs: Sequence[tuple[TaskArguments, Path]]) -> list[Measurement]:
        """Each library with its arguments, one after the other."""
        outcomes = self._pool.run(_measure, jobs, _SECONDS)
        return [
            Measurement(error=outcome.error) if outcome.error else Measurement(outcome.value)
            for outcome in outcomes
        ]

    def check(self, arguments: TaskArguments, library: Path, expected: Path) -> str:
        """Why the library's results are not those in ``expected``, or ""."""
        (outcome,) = self._pool.run(_check, [(arguments, library, expected)], _SECONDS)
        return outcome.error or outcome.value

    def reference(self) -> float:
        """Seconds of the reference kernel.

        Raises:
            TargetError: it failed.
        """
        (measurement,) = self.measure([self._reference])
        if measurement.error:
            raise TargetError(
                f"the reference kernel failed: {measurement.error}; where a plain kernel does not "
                "run, nothing can be measured"
            )
        return min(measurement.seconds)

    def close(self) -> None:
        """End the process."""
        self._pool.close()


# Of a process of the pool.
_opencl: bool


def _prepare(cores: list[int], opencl: bool) -> None:
    global _opencl
    _opencl = opencl
    os.sched_setaffinity(0, cores)
    use_threads(len(cores))


def _device() -> tvm.runtime.Device:
    return tvm.opencl(0) if _opencl else tvm.cpu()


_drawn: dict[str, list[tvm.runtime.Tensor]] = {}


def _tensors(arguments: TaskArguments) -> list[tvm.runtime.Tensor]:
    if arguments.key not in _drawn:
        _drawn.clear()  # Those of one kernel can be hundreds of megabytes.
        _drawn[arguments.key] = [tvm.runtime.tensor(a, _device()) for a in arguments.draw()]
    return _drawn[arguments.key]


def _measure(arguments: TaskArguments, library: Path) -> tuple[float, ...]:
    module = tvm.runtime.load_module(str(library))
    return time_library(module, _tensors(arguments), _device())


def _check(arguments: TaskArguments, library: Path, expected: Path) -> str:
    tensors = [tvm.runtime.tensor(array, _device()) for array in arguments.draw()]
    tvm.runtime.load_module(str(library))[FUNCTION](*tensors)
    return wrong_result(tensors[arguments.inputs :], expected)
