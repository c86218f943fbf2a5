"""What a frame of a candidate costs: cycles of an EMULATED core, or time on this machine."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from compile.artefact.compatibility import MachineFacts, TargetNeeds, why_not
from compile.artefact.manifest import CallSummary
from compile.artefact.reader import Artefact, open_artefact
from compile.precision.known_cycles import KnownCycles, calls_of, may_skip
from compile.support.errors import MqnetError, TargetError
from compile.support.frame import Frame
from compile.support.worker_pool import WorkerPool
from device.emulated.arm64.board_core import board_core
from device.emulated.arm64.command import check_board
from device.emulated.arm64.count_instructions import COUNT, count_on_board
from device.runtime.run_artefact import Session, use_threads
from device.server.kernel_calls import time_calls
from device.server.machine import describe_machine, fastest_cores
from targets.spec import TargetSpec

_SECONDS = 600.0
# Of the two that take turns; the ratio of two neighbours is what counts.
_VISITS, _VISIT_SECONDS, _FRAMES = 15, 0.05, 5


@dataclass(frozen=True)
class FrameCost:
    """Of one frame.

    Attributes:
        whole: of all of it.
        calls: of each kernel call, in order.
    """

    whole: float
    calls: tuple[float, ...]


class Meter(Protocol):
    """What measures a candidate.

    Attributes:
        unit: of costs.
        machine: that they are of.
        compares: whether it needs the first candidate's build beside each other one.
    """

    unit: str
    machine: str
    compares: bool

    def keep_first(self, folder: Path, cost: float) -> None:
        """Compare with the build in ``folder``, a frame of which costs ``cost``."""

    def measure(self, artefact: Artefact, frame: Frame) -> FrameCost:
        """What ``frame`` costs.

        Raises:
            MqnetError: the build crashed or failed.
        """

    def close(self) -> None:
        """End what it has started."""


class EmulatedMeter:
    """Counts the kernel calls of a frame on the emulated arm64 board, but for those that are known
    of an earlier one, and turns counts into cycles of ``spec``.

    Raises:
        TargetError: no arm64 target, none with a model of its core, or no board at ``root``.
    """

    unit = "EMULATED Mcycles"
    compares = False

    def __init__(self, spec: TargetSpec, root: Path) -> None:
        if spec.machine != "EM_AARCH64" or spec.gpu is not None or spec.timing is None:
            raise TargetError(
                f"target {spec.name} cannot be emulated: name an arm64 processor whose target file "
                "has a table timing, such as cortex-a76"
            )
        check_board(root)
        self._root, self._spec, self._core = root, spec, board_core(spec.processor.cpu)
        self.machine = f"EMULATED {self._core.title}"
        self._known = KnownCycles()

    def keep_first(self, folder: Path, cost: float) -> None:
        """Nothing: cycles are the same at any time."""

    def measure(self, artefact: Artefact, frame: Frame) -> FrameCost:
        """See :class:`Meter`."""
        calls = calls_of(artefact)
        todo = self._known.todo(calls) if may_skip(artefact) else COUNT * len(calls)
        counted: dict[int, float] = {}
        if COUNT in todo:
            counts = count_on_board(
                self._root,
                artefact.library,
                frame,
                self._core,
                timing=self._spec.timing,
                aliases_bionic=artefact.manifest.target.linker == "android-arm64",
                todo=todo,
            )
            cycles = [one.cycles or 0.0 for _, one in counts.kernels]
            counted = {n: cycles[n] / 1e6 for n, each in enumerate(todo) if each == COUNT}
        costs = self._known.fill(calls, counted)
        return FrameCost(sum(costs), costs)

    def close(self) -> None:
        """Nothing: each frame has a process of its own."""


class HostMeter:
    """Times frames on one core of this machine, in turns with those of the first candidate: what
    disturbs the machine then disturbs both.

    Raises:
        TargetError: what is built for ``spec`` does not run here.
    """

    unit = "ms"
    compares = True

    def __init__(self, spec: TargetSpec) -> None:
        reason = why_not(TargetNeeds.of(spec), MachineFacts.here(None))
        if spec.gpu is not None or reason is not None:
            raise TargetError(
                f"what is built for target {spec.name} cannot be timed here: give --emulate and an "
                "arm64 target such as cortex-a76, or --target host"
            )
        self.machine = str(describe_machine()["cpu"])
        self._first: tuple[Path, float] | None = None
        self._pool = WorkerPool(1, _prepare, (fastest_cores(1),))

    def keep_first(self, folder: Path, cost: float) -> None:
        """See :class:`Meter`."""
        self._first = folder, cost

    def measure(self, artefact: Artefact, frame: Frame) -> FrameCost:
        """See :class:`Meter`."""
        folder = artefact.library.parent
        first = folder if self._first is None else self._first[0]
        (outcome,) = self._pool.run(_time, [(first, folder, frame)], _SECONDS)
        if outcome.error:
            raise MqnetError(f"a candidate did not run: {outcome.error}")
        ratio, seconds, calls = outcome.value
        whole = seconds * 1e3 if self._first is None else ratio * self._first[1]
        factor = whole / sum(calls)
        return FrameCost(whole, tuple(call * factor for call in calls))

    def close(self) -> None:
        """End the process."""
        self._pool.close()


def _prepare(cores: list[int]) -> None:
    os.sched_setaffinity(0, cores)
    use_threads(1)


def _time(first: Path, folder: Path, frame: Frame) -> tuple[float, float, list[float]]:
    """How much longer a frame of the build in ``folder`` takes than one of ``first``, in how many
    seconds, and those of each of its kernel calls."""
    artefact = open_artefact(folder)
    sessions = [Session(open_artefact(first), 1), Session(artefact, 1)]
    ratios, seconds = [], []
    counts = [max(1, round(_VISIT_SECONDS / _best(one, frame, 2))) for one in sessions]
    for _ in range(_VISITS):
        before, after = (
            _best(one, frame, count) for one, count in zip(sessions, counts, strict=True)
        )
        ratios.append(after / before)
        seconds.append(after)
    network = sessions[1].network
    network.set_inputs(frame)
    kernels = {kernel.name for kernel in artefact.manifest.kernels}
    calls = [call.seconds for call in time_calls(network, kernels, _FRAMES, 1)]
    return statistics.median(ratios), statistics.median(seconds), calls


def _best(session: Session, frame: Frame, count: int) -> float:
    return min(session.run_frame(frame)[1] for _ in range(count))


def costs_by_scope(
    calls: Sequence[CallSummary],
    cost: FrameCost,
    paths: Sequence[str],
    macs: Sequence[int],
    root: str,
) -> list[float]:
    """Share what the kernel ``calls`` of a build cost among the scopes at ``paths`` whose layers
    they compute: by their ``macs`` where they have some, else equally. ``root`` is the path of the
    user's module."""
    numbers = {path: number for number, path in enumerate(paths)}
    shared = [0.0] * len(paths)
    for call, seconds in zip(calls, cost.calls, strict=True):
        layers = [layer.removeprefix(f"{root}.") for layer in call.layers]
        found = [numbers[layer] for layer in layers if layer in numbers]
        weights = [macs[number] for number in found]
        if not any(weights):
            weights = [1] * len(found)
        for number, weight in zip(found, weights, strict=True):
            shared[number] += seconds * weight / sum(weights)
    return shared
