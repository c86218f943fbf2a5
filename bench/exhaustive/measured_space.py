"""A kernel of which every configuration was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compile.search.kernel_task import KernelTask


@dataclass(frozen=True)
class MeasuredSpace:
    """Every way to cut one kernel.

    Attributes:
        task: the kernel.
        default: its default configuration.
        seconds: of a call, by configuration.
        failed: configurations that do not build, do not run or compute something else; and why.
    """

    task: KernelTask
    default: str
    seconds: Mapping[str, float] = field(repr=False)
    failed: Mapping[str, str] = field(repr=False)

    @property
    def best_seconds(self) -> float:
        """Of the fastest configuration that is right."""
        return min(self.seconds.values())

    @property
    def size(self) -> int:
        """How many configurations there are."""
        return len(self.seconds) + len(self.failed)
