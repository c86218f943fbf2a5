"""The instructions of a frame of our build for a target, beside LiteRT's on the same core."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from compile.artefact.manifest import Manifest
from compile.artefact.reader import Artefact
from compile.support.errors import TargetError
from compile.support.frame import Frame
from device.emulated.arm64.board_core import BoardCore
from device.emulated.arm64.count_instructions import (
    Counts,
    FrameCounts,
    add_counts,
    count_on_board,
)
from targets.spec import TargetSpec
from targets.timing_model import TimingModel


@dataclass(frozen=True)
class KernelInstructions:
    """All calls of one kernel in a frame.

    Attributes:
        name, family, schedule: see :class:`compile.artefact.manifest.KernelSummary`.
        layers: of the network that the calls compute, in order.
        calls: in the frame.
        macs: multiply-accumulates of all calls.
        counts: of all calls.
    """

    name: str
    family: str
    schedule: str
    layers: tuple[str, ...]
    calls: int
    macs: int
    counts: Counts


@dataclass(frozen=True)
class TargetInstructions:
    """What a frame executes on the emulated core of a target.

    Attributes:
        target: by name.
        core: that the board passes for.
        ours: of the whole frame.
        standalone: of the whole frame, by the build's standalone form; None where it has none.
        litert: of the whole frame; None where there is no such network of LiteRT's.
        scheme: of both.
        kernels: of ours, the costliest first.
    """

    target: str
    core: BoardCore
    ours: Counts
    standalone: Counts | None
    litert: Counts | None
    kernels: tuple[KernelInstructions, ...]
    scheme: str

    @property
    def ratio(self) -> float | None:
        """LiteRT's instructions over ours."""
        if self.litert is None:
            return None
        return self.litert.instructions / self.ours.instructions

    @property
    def cycle_ratio(self) -> float | None:
        """LiteRT's cycles over ours, by the target's model."""
        if self.litert is None or self.litert.cycles is None or self.ours.cycles is None:
            return None
        return self.litert.cycles / self.ours.cycles

    def as_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            **asdict(self),
            f"ratio_to_litert_{self.scheme}": self.ratio,
            f"cycle_ratio_to_litert_{self.scheme}": self.cycle_ratio,
        }


def check_is_arm64(spec: TargetSpec) -> None:
    """Raise where the emulated board cannot run what is built for ``spec``.

    Raises:
        TargetError: another machine's.
    """
    if spec.machine != "EM_AARCH64":
        raise TargetError(
            f"target {spec.name} is {spec.machine} and instructions are counted on an emulated "
            "arm64 board: name an arm64 target, such as cortex-a76"
        )


def count_target(
    root: Path,
    core: BoardCore,
    artefact: Artefact,
    frame: Frame,
    litert: Counts | None,
    timing: TimingModel | None,
) -> TargetInstructions:
    """Count a frame of ``artefact`` on the board of ``root``; LiteRT's has been counted before.
    ``timing`` of the core, where it is known, turns counts into cycles."""
    manifest, folder = artefact.manifest, artefact.library.parent
    android = manifest.target.linker == "android-arm64"
    count = partial(
        count_on_board, root, frame=frame, core=core, timing=timing, aliases_bionic=android
    )
    counts = count(artefact.library)
    standalone = None
    if manifest.standalone:
        library = folder / f"lib{manifest.standalone}.so"
        standalone = count(library, engine="tvm-standalone").frame
    return TargetInstructions(
        manifest.target.name,
        core,
        counts.frame,
        standalone,
        litert,
        _by_kernel(counts, manifest),
        manifest.scheme,
    )


def _by_kernel(counts: FrameCounts, manifest: Manifest) -> tuple[KernelInstructions, ...]:
    summaries = {kernel.name: kernel for kernel in manifest.kernels}
    calls: dict[str, list[Counts]] = {}
    layers: dict[str, list[str]] = {}
    for (name, count), call in zip(counts.kernels, manifest.calls, strict=True):
        calls.setdefault(name, []).append(count)
        layers.setdefault(name, []).extend(call.layers)
    kernels = [
        KernelInstructions(
            name,
            summaries[name].family,
            summaries[name].schedule,
            tuple(layers[name]),
            len(of_kernel),
            summaries[name].macs * len(of_kernel),
            add_counts(of_kernel),
        )
        for name, of_kernel in calls.items()
    ]
    return tuple(sorted(kernels, key=lambda kernel: -kernel.counts.instructions))
