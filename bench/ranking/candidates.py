"""Kernels of the network and some ways to cut each, built for a target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from compile.kernels.common.core_model import CpuCore
from compile.search.build_candidates import Builder
from compile.search.candidate import all_configurations
from compile.search.kernel_task import KernelTask

# So that not all kernels are of the family that has most of the network's multiplications.
_MOST_OF_A_FAMILY = 3


@dataclass(frozen=True)
class BuiltCandidate:
    """A choice of a kernel.

    Attributes:
        task: the kernel.
        choice: as text.
        library: of the function `compile.search.build_candidates.FUNCTION`.
    """

    task: KernelTask
    choice: str
    library: Path


def costly_kernels(tasks: Sequence[KernelTask], count: int) -> list[KernelTask]:
    """``count`` of those that multiply most, a few of each family at most."""
    by_macs = sorted(tasks, key=lambda task: -task.macs)
    chosen: list[KernelTask] = []
    of_family: Counter[str] = Counter()
    for task in by_macs:
        if len(chosen) < count and of_family[task.family] < _MOST_OF_A_FAMILY:
            of_family[task.family] += 1
            chosen.append(task)
    return chosen


def build_some(
    tasks: Sequence[KernelTask], builder: Builder, core: CpuCore, count: int
) -> list[BuiltCandidate]:
    """The default configuration of each kernel and ``count`` - 1 others, drawn with a fixed seed;
    without those that do not build."""
    candidates = []
    for task in tasks:
        builtin, choices = all_configurations(task.family, task.load(), core)
        others = [choice for choice in choices if choice != builtin]
        drawn = Random(0).sample(others, min(count - 1, len(others)))
        candidates += [(task, choice) for choice in (builtin, *drawn)]
    builds = builder.build(candidates)
    return [
        BuiltCandidate(task, choice, build.library)
        for (task, choice), build in zip(candidates, builds, strict=True)
        if build.library is not None
    ]
