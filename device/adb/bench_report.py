"""What `NAME-run bench --json --times` prints, as typed records."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class CoreState(msgspec.Struct, frozen=True):
    """A core at one moment; -1 and "" for what the kernel does not tell."""

    core: int
    khz: int
    max_khz: int
    governor: str


class ThermalZone(msgspec.Struct, frozen=True):
    """A thermometer of the machine's."""

    type: str
    celsius: float


class MachineState(msgspec.Struct, frozen=True):
    """A machine at one moment."""

    cores: tuple[CoreState, ...]
    zones: tuple[ThermalZone, ...]

    @property
    def celsius(self) -> float | None:
        """The hottest zone of a processor, else of all; None where there is none."""
        of_cores = [zone.celsius for zone in self.zones if "cpu" in zone.type.lower()]
        return max(of_cores or (zone.celsius for zone in self.zones), default=None)

    @property
    def megahertz(self) -> dict[str, str]:
        """Clock and highest clock of each core, where the kernel tells."""
        return {
            f"core {core.core}": f"{core.khz // 1000} of {core.max_khz // 1000}"
            for core in self.cores
            if core.khz > 0
        }


class ThreadsLatency(msgspec.Struct, frozen=True):
    """The frames on one number of threads; ``times_ms`` in their order."""

    threads: int
    times_ms: tuple[float, ...]


class BenchReport(msgspec.Struct, frozen=True):
    """One run of the program: what it was built from is in the build's manifest.

    Attributes:
        start_ms: from its first line to the end of the first frame, on the first number of threads.
        resident_bytes: the most memory that it had held by then; 0 where the kernel does not tell.
        latency: by numbers of threads.
        before, after: the machine.
    """

    start_ms: float
    resident_bytes: int
    latency: tuple[ThreadsLatency, ...]
    before: MachineState
    after: MachineState


def hottest(states: Iterable[MachineState]) -> float | None:
    """The highest temperature of ``states``; None where none has one."""
    return max((state.celsius for state in states if state.celsius is not None), default=None)
