"""A device as the place of a latency session: its engines share the one session there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.engines.engine import Job
from bench.engines.registry import ENGINES
from bench.peers.peer_files import engine_file, litert_name
from bench.session.clock import CoreLimits, measure_core
from compile.artefact.reader import Artefact, open_artefact
from compile.support.cli import stderr
from compile.support.errors import TargetError
from compile.support.frame import Frame
from device.client.address import DeviceAddress
from device.client.connection import Connection
from device.client.device_session import LONGEST_SECONDS, DeviceSession
from device.client.networks import (
    RemoteNetwork,
    ServerLiteRT,
    ServerStandalone,
    ServerTvmNetwork,
    load_artefact,
)
from device.server.kernel_calls import TimedCall
from targets.spec import TargetSpec

# Beyond what a visit's frames are likely to take.
_SECONDS_OF_SILENCE, _TIMES_AS_LONG = 120.0, 10


class Device(DeviceSession):
    """A session on a device that starts engines; see :class:`bench.session.location.Location`."""

    def start(self, job: Job) -> RemoteEngine:
        """Upload and load the network of ``job``."""
        number, version = self.run(_start, job).get()
        return RemoteEngine(self, number, version)

    def time_calls(
        self,
        artefact: Artefact,
        frame: Frame,
        kernels: Collection[str],
        frames: int,
        warm_up: int,
    ) -> tuple[str | None, list[TimedCall]]:
        """Version of TVM there, with the GPU's name, and what
        :func:`device.server.kernel_calls.time_calls` says of the network of ``artefact``."""
        asked = frame, list(kernels), frames, warm_up
        return self.run(_time_calls, artefact.library.parent, *asked).get()

    def measure_core(self, spec: TargetSpec) -> CoreLimits:
        """See :func:`bench.session.clock.measure_core`."""
        return self.run(_measure_core, spec).get()

    def flags(self) -> list[str]:
        """Return none that is not to be seen in the times themselves."""
        return []


@dataclass
class RemoteEngine:
    """An engine on ``device``; see :class:`bench.session.location.StartedEngine`."""

    device: Device
    number: int
    version: str | None
    _frame_seconds: float = 0.0

    def outputs(self, frame: Frame) -> Frame:
        """What the network makes of ``frame``; later frames have the same inputs."""
        return self.device.run(_outputs, self.number, frame).get()

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Wall-clock and CPU seconds, as the device's clocks have them."""
        seconds = LONGEST_SECONDS
        if self._frame_seconds:
            # A device that was stopped for a minute goes on; one that stays silent is given up.
            likely = (count + 1) * self._frame_seconds
            seconds = round(_SECONDS_OF_SILENCE + _TIMES_AS_LONG * likely)
        outcome = self.device.run(_time_frames, self.number, count, seconds=seconds)
        wall, cpu = outcome.get()
        self._frame_seconds = min(wall)
        return wall, cpu

    def footprint(self) -> None:
        """Not known: all engines share one process of the device."""

    def close(self) -> None:
        """Nothing: it ends with the session."""


@contextmanager
def open_device(address: DeviceAddress, threads: int = 1) -> Iterator[Device]:
    """Hold a session on the device, which waits while it is in use.

    Raises:
        TargetError: no such device, or it cannot be reached.
    """
    stderr.print(f"asking for {address}", highlight=False)
    device = Device(address, threads)
    try:
        opened = device.open()
        if opened.error:
            raise TargetError(opened.error)
        yield device
    finally:
        device.close()


def device_environment(device: DeviceSession) -> dict[str, Any]:
    """What a run's file says of the device; null for what it does not tell."""
    names = ("cpu", "emulated", "machine", "cores", "memory_mb", "kernel", "governor")
    told = {name: device.facts.get(name) for name in (*names, "busy_cores", "python")}
    return told | {"device": {"key": device.address.key} | device.facts.get("versions", {})}


def _load(connection: Connection, job: Job) -> RemoteNetwork:
    """Load the network of ``job`` on the device.

    Raises:
        TargetError: the engine cannot be timed there, and why.
        MqnetError: its file is missing or damaged.
    """
    engine = ENGINES[job.engine]
    if not engine.runs_on_device:
        *names, last = [name for name, one in ENGINES.items() if one.runs_on_device]
        raise TargetError(f"cannot be run on a device: only {', '.join(names)} and {last} can")
    if engine.is_ours:
        assert job.artefact is not None
        artefact = open_artefact(job.artefact)
        if engine.standalone:
            return ServerStandalone(connection, artefact, job.threads)
        return load_artefact(connection, artefact)
    file = engine_file(job.files, litert_name(job.scheme, job.size))
    return ServerLiteRT(connection, file, job.threads, engine.runs_on_gpu)


def _start(connection: Connection, job: Job) -> tuple[int, str | None]:
    networks: list[RemoteNetwork] = connection.kept.setdefault("networks", [])
    networks.append(_load(connection, job))
    return len(networks) - 1, networks[-1].version


def _outputs(connection: Connection, number: int, frame: Frame) -> Frame:
    return connection.kept["networks"][number].outputs(frame)


def _time_frames(
    connection: Connection, number: int, count: int
) -> tuple[list[float], list[float]]:
    return connection.kept["networks"][number].time_frames(count)


def _time_calls(
    connection: Connection, folder: Path, *asked: Any
) -> tuple[str | None, list[TimedCall]]:
    network = ServerTvmNetwork(connection, open_artefact(folder))
    return network.version, network.time_calls(*asked)


def _measure_core(connection: Connection, spec: TargetSpec) -> CoreLimits:
    return measure_core(spec, connection.load_library, connection.device(on_gpu=False))
