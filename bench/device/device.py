"""A device as the place of a latency session."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.device.device_process import serve_device
from bench.engines.engine import Job
from bench.session.asked_process import AskedProcess, NoAnswer, WorkerError
from bench.session.clock import CoreLimits
from compile.artefact.artefact import Artefact
from compile.artefact.compatibility import MachineFacts, TargetNeeds, why_not
from compile.support.errors import ArtefactError, TargetError
from device.client.request import DeviceAddress
from device.server.kernel_calls import TimedCall
from targets.spec import TargetSpec


class Device:
    """A session on a device, all of its engines in one process there, on its ``threads`` fastest
    cores: a device serves one client at a time, so they cannot have a process each.

    Attributes:
        address: where it is found.
        facts: what it says about itself; {} where it is not served by ``device/serve.py``.
        gone: why it can be asked no more; "" while it can.

    Raises:
        TargetError: no such device, or it cannot be reached.
    """

    def __init__(self, address: DeviceAddress, threads: int) -> None:
        self.address = address
        self.gone = ""
        try:
            self._process = AskedProcess(serve_device, address, threads)
        except WorkerError as error:
            raise TargetError(str(error)) from None
        self.facts: dict[str, Any] = self._process.greeting

    def start(self, job: Job) -> RemoteEngine:
        """Upload and load the network of ``job``."""
        number, version = self.ask("start", job)
        return RemoteEngine(self, number, version)

    def time_calls(
        self,
        artefact: Artefact,
        photo: NDArray[np.uint8],
        kernels: Collection[str],
        frames: int,
        warm_up: int,
    ) -> tuple[str | None, list[TimedCall]]:
        """Version of TVM there, with the GPU's name, and what
        :func:`device.server.kernel_calls.time_calls` says of the network of ``artefact``."""
        value = artefact.library.parent, photo, list(kernels), frames, warm_up
        return self.ask("time_calls", value)

    def measure_core(self, spec: TargetSpec) -> CoreLimits:
        """See :func:`bench.session.clock.measure_core`."""
        return self.ask("measure_core", spec)

    def doubts(self) -> list[str]:
        """None that is not to be seen in the times themselves."""
        return []

    def ask(self, question: str, value: object) -> Any:
        """The answer of the device's process.

        Raises:
            WorkerError: there is none, and why.
        """
        if self.gone:
            raise NoAnswer(self.gone)
        try:
            return self._process.ask(question, value)
        except NoAnswer as error:
            self.gone = str(error)
            raise

    def close(self) -> None:
        """End the session; the device is free for the next."""
        self._process.close()


@dataclass(frozen=True)
class RemoteEngine:
    """An engine on ``device``; see :class:`bench.session.place.StartedEngine`."""

    device: Device
    number: int
    version: str | None

    def output(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        """H, float32 [H,W,3], for ``photo`` uint8 [H,W,3]; later frames have the same input."""
        return self.device.ask("output", (self.number, photo))

    def time_frames(self, count: int) -> tuple[list[float], list[float]]:
        """Wall-clock and CPU seconds, as the device's clocks have them."""
        return self.device.ask("time", (self.number, count))

    def memory(self) -> None:
        """Not known: all engines share one process of the device."""

    def close(self) -> None:
        """Nothing: it ends with the session."""


def device_environment(device: Device) -> dict[str, Any]:
    """What a run's file says of the device; null for what it does not tell."""
    names = ("cpu", "emulated", "machine", "cores", "memory_mb", "kernel", "governor")
    told = {name: device.facts.get(name) for name in (*names, "busy_cores", "python")}
    return told | {"device": {"key": device.address.key} | device.facts.get("versions", {})}


def check_runs_there(target: str, needs: TargetNeeds, device: Device) -> None:
    """Raise where ``device`` cannot execute what was built, as far as it tells what it is.

    Args:
        target: name of the target that it was or shall be built for.
        needs: of what is built for it.
        device: that is asked about.

    Raises:
        ArtefactError: code of another architecture, or instructions that the device lacks.
    """
    if not device.facts:
        return
    features = frozenset(device.facts["features"])
    reason = why_not(needs, MachineFacts(device.facts["machine"], features, name="the device"))
    if reason is not None:
        raise ArtefactError(
            f"what is built for target {target} does not run on {device.address}: {reason}; name "
            "the device's target, such as linux-arm64 (python compile/build.py --target help)"
        )
