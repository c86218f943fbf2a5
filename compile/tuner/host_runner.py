"""Measures candidates on this machine, in a process of its own that is pinned to its cores.

Every kernel is called again and again with the same arguments, so its weights and as much of its
data as fits are in the caches, as in a network most of it is: there the kernel before has just
written it. Nothing else of the session works meanwhile: on a machine with two cores a build beside
a measurement would share its caches and its clock.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tvm

from compile.run_artefact import use_threads
from compile.tuner.build_candidates import FUNCTION
from compile.tuner.kernel_task import TaskArguments
from compile.tuner.runner import (
    Measurement,
    difference,
    is_disturbed,
    settled,
)
from compile.tuner.worker_pool import WorkerPool
from targets.served.machine import describe_machine, fastest_cores

_SECONDS = 60.0
# One repetition takes at least so long: the clock and the call cost some tens of nanoseconds.
_REPETITION_SECONDS = 1e-3
_REPETITIONS = 6
_MOST_CALLS = 2000


class HostRunner:
    """See :class:`compile.tuner.runner.Runner`; kernels run on ``threads`` threads."""

    def __init__(self, threads: int, reference: tuple[TaskArguments, Path]) -> None:
        self.device = describe_machine()
        self.trouble: list[str] = []
        self._reference = reference
        # The last ones: the first core is where most systems serve their interrupts.
        cores = sorted(fastest_cores(len(os.sched_getaffinity(0))))[-threads:]
        self._pool = WorkerPool(1, _prepare, (cores,))

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
        """Seconds of the reference kernel."""
        (measurement,) = self.measure([self._reference])
        if measurement.error:
            raise RuntimeError(f"the reference kernel failed: {measurement.error}")
        return min(measurement.seconds)

    def close(self) -> None:
        """End the process."""
        self._pool.close()


def _prepare(cores: list[int]) -> None:
    os.sched_setaffinity(0, cores)
    use_threads(len(cores))


_drawn: dict[str, list[tvm.runtime.Tensor]] = {}


def _tensors(arguments: TaskArguments) -> list[tvm.runtime.Tensor]:
    if arguments.key not in _drawn:
        _drawn.clear()  # Those of one kernel can be hundreds of megabytes.
        _drawn[arguments.key] = [tvm.runtime.tensor(array) for array in arguments.draw()]
    return _drawn[arguments.key]


def _measure(arguments: TaskArguments, library: Path) -> tuple[float, ...]:
    module, tensors = tvm.runtime.load_module(str(library)), _tensors(arguments)

    def time_calls(number: int, repeat: int) -> list[float]:
        evaluate = module.time_evaluator(FUNCTION, tvm.cpu(), number=number, repeat=repeat)
        return list(evaluate(*tensors).results)

    (once,) = time_calls(1, 1)
    number = min(_MOST_CALLS, max(1, round(_REPETITION_SECONDS / max(once, 1e-9))))
    seconds = time_calls(number, _REPETITIONS)
    if is_disturbed(seconds):
        seconds += time_calls(number, 2 * _REPETITIONS)
    return settled(seconds)


def _check(arguments: TaskArguments, library: Path, expected: Path) -> str:
    tensors = [tvm.runtime.tensor(array) for array in arguments.draw()]
    tvm.runtime.load_module(str(library))[FUNCTION](*tensors)
    with np.load(expected) as results:
        for place, result in enumerate(results.values(), start=arguments.inputs):
            if wrong := difference(tensors[place].numpy(), result):
                return wrong
    return ""
