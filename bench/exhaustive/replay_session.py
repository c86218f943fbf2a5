"""Sessions that look configurations up where real ones build and measure them.

The search is the tuner's own, line by line; only its builder and its device are a table. So a
hundred sessions take a minute, and none of them is disturbed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.exhaustive.measured_space import MeasuredSpace
from compile.kernels.common.core_model import CoreModel
from compile.search.build_candidates import Build
from compile.search.cost_model import CostModel
from compile.search.kernel_task import KernelTask, TaskArguments
from compile.search.runner import Measurement
from compile.search.tuning_session import SearchPlan, SessionResources, TuningSession
from compile.support.errors import TargetError


def replay_session(
    spaces: Sequence[MeasuredSpace],
    core: CoreModel,
    model: CostModel,
    plan: SearchPlan,
    scratch: Path,
) -> list[float]:
    """Run a session on the kernels of ``spaces``; seconds of their calls in a frame, with the best
    configurations known after each trial; infinite before every kernel has one.

    Args:
        spaces: of the kernels.
        core: that their configurations are for.
        model: the session's, which may have learned before.
        plan: how far the session goes.
        scratch: folder for empty files.
    """
    device = _TableDevice({space.task.key: space for space in spaces}, scratch)
    tools = SessionResources(device, device, device)  # type: ignore[arg-type]
    session = TuningSession(
        [space.task for space in spaces], core, tools, device, model, plan, {}, {}, device.forget
    )
    # Where each of the first candidates is a bad one, a session ends so, too.
    with contextlib.suppress(TargetError):
        session.run()
    return device.best_frames()


@dataclass
class _TableDevice:
    """Builder, device, expected results and records of such a session."""

    spaces: Mapping[str, MeasuredSpace]
    scratch: Path
    device: dict[str, Any] = field(default_factory=lambda: {"cores": 1})
    warnings: list[str] = field(default_factory=list)
    _tried: list[tuple[str, str]] = field(default_factory=list)
    _libraries: dict[Path, tuple[str, str]] = field(default_factory=dict)

    def build(self, candidates: Sequence[tuple[KernelTask, str]]) -> list[Build]:
        builds = []
        for task, configuration in candidates:
            self._tried.append((task.key, configuration))
            if configuration in self.spaces[task.key].failed:
                builds.append(Build(None, "failed"))
                continue
            library = self.scratch / f"{len(self._tried)}"
            library.touch()
            self._libraries[library] = task.key, configuration
            builds.append(Build(library))
        return builds

    def measure(self, jobs: Sequence[tuple[TaskArguments, Path]]) -> list[Measurement]:
        found = [self._libraries[library] for _, library in jobs]
        return [Measurement((self.spaces[key].seconds[choice],)) for key, choice in found]

    def check(self, arguments: TaskArguments, library: Path, expected: Path) -> str:
        return ""

    def reference(self) -> float:
        return 1.0

    def of(self, task: KernelTask) -> Path:
        return self.scratch

    def close(self) -> None:
        pass

    def known(self, task: KernelTask) -> dict[str, float]:
        return {}

    def add(self, task: KernelTask, choice: str, seconds: tuple[float, ...]) -> None:
        pass

    def forget(self, task: KernelTask, choice: str, why: str) -> None:
        pass

    def best_frames(self) -> list[float]:
        """As :func:`replay_session` returns them."""
        best: dict[str, float] = {}
        frames = []
        for key, configuration in self._tried:
            space = self.spaces[key]
            if configuration in space.seconds:
                seconds = space.task.calls * space.seconds[configuration]
                best[key] = min(seconds, best.get(key, seconds))
            complete = len(best) == len(self.spaces)
            frames.append(sum(best.values()) if complete else float("inf"))
        return frames
