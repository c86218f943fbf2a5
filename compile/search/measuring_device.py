"""One device of a farm, on which candidates are measured and checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tvm

from compile.artefact.compatibility import TargetNeeds
from compile.search.build_candidates import FUNCTION
from compile.search.gpu_facts import gpu_facts
from compile.search.kernel_task import TaskArguments
from compile.search.runner import wrong_result
from compile.search.time_calls import time_library
from compile.support.outcome import Outcome
from device.client.address import DeviceAddress
from device.client.connection import Connection
from device.client.device_session import DeviceSession
from targets.timing_model import TimingModel


@dataclass(frozen=True)
class DeviceOptions:
    """How a device is used.

    Attributes:
        address: where it is found.
        threads: that a kernel runs on.
        cooldown: seconds that it rests before each repetition.
        timing: of an emulated board, what makes cycles of its counts; None where time is time.
        on_gpu: kernels run on the device's GPU.
        task_seconds: that a library may take.
        session_seconds: after which the device ends a session, whatever it does: a kernel that
            never ends keeps it for so long.
    """

    address: DeviceAddress
    threads: int
    cooldown: float = 0.0
    timing: TimingModel | None = None
    on_gpu: bool = False
    task_seconds: float = 60.0
    session_seconds: float = 240.0


class MeasuringDevice:
    """A device. The session is opened when there is work, and anew now and then. Each method gives
    an outcome; its ``crashed`` is set where the session was lost or nothing came back in time, so
    that either the device or the library is to blame."""

    def __init__(self, options: DeviceOptions) -> None:
        self._options = options
        self._session = DeviceSession(options.address, options.threads, options.session_seconds)

    def open(self) -> Outcome:
        """Open another session, in the place of one that was lost."""
        return self._session.open()

    def facts(self) -> Outcome:
        """Ask what it says of itself; of a GPU, where that is what measures."""
        return self._run(_facts, self._options.on_gpu)

    def why_not(self, needs: TargetNeeds) -> Outcome:
        """Say why code with these ``needs`` cannot run there, as a clause; None where it can."""
        return self._run(Connection.why_not, needs)

    def measure(self, arguments: TaskArguments, library: Path) -> Outcome:
        """Seconds of one call, several times over."""
        return self._run(_measure, arguments, library, self._options)

    def check(self, arguments: TaskArguments, library: Path, expected: Path) -> Outcome:
        """Why the library's results are not those in ``expected``, or ""."""
        return self._run(_check, arguments, library, expected, self._options.on_gpu)

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Outcome:
        return self._session.run(function, *arguments, seconds=self._options.task_seconds)


def _facts(connection: Connection, on_gpu: bool) -> dict[str, Any]:
    connection.need_function("mqnet.machine")
    if not on_gpu:
        return connection.facts
    return gpu_facts(connection.facts, json.loads(connection.need_function("mqnet.opencl")()))


def _measure(
    connection: Connection, arguments: TaskArguments, library: Path, options: DeviceOptions
) -> tuple[float, ...]:
    device = connection.device(options.on_gpu)
    tensors = _tensors(connection, arguments, device)
    with connection.uploaded(library.read_bytes(), suffix=".so") as name:
        if options.timing is None:
            module = connection.rpc.load_module(name)
            return time_library(module, tensors, device, options.cooldown)
        count = connection.need_function("mqnet.count_call")
        # A cycle of a nanosecond: the emulated core has no clock.
        return (options.timing.cycles_of(json.loads(count(name, FUNCTION, *tensors))) * 1e-9,)


def _tensors(
    connection: Connection, arguments: TaskArguments, device: tvm.runtime.Device
) -> tuple[tvm.runtime.Tensor, ...]:
    """Arguments on the device, kept for the kernel's next candidate."""
    kept: dict[str, Any] = connection.kept.setdefault("tensors", {})
    if arguments.key not in kept:
        kept.clear()  # Those of one kernel can be hundreds of megabytes.
        kept[arguments.key] = tuple(tvm.runtime.tensor(a, device) for a in arguments.draw())
    return kept[arguments.key]


def _check(
    connection: Connection,
    arguments: TaskArguments,
    library: Path,
    expected: Path,
    on_gpu: bool,
) -> str:
    device = connection.device(on_gpu)
    tensors = [tvm.runtime.tensor(array, device) for array in arguments.draw()]
    connection.load_library(library)[FUNCTION](*tensors)
    return wrong_result(tensors[arguments.inputs :], expected)
