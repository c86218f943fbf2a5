"""The devices that a tracker knows by one key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from compile.search.measuring_device import DeviceOptions
from compile.search.rpc_runner import Job, RpcRunner
from compile.support.errors import TargetError
from device.client.address import DeviceAddress
from device.client.request import count_devices
from device.server.tracker import tracker_address
from targets.spec import TargetSpec
from targets.timing_model import TimingModel


@dataclass(frozen=True)
class Farm:
    """Devices that are there.

    Attributes:
        options: how each is used.
        count: how many there are.
    """

    options: DeviceOptions
    count: int

    def with_threads(self, threads: int) -> Farm:
        """The same devices, whose kernels run on ``threads`` threads."""
        return replace(self, options=replace(self.options, threads=threads))

    def runner(self, spec: TargetSpec, reference: Job, expected: Path) -> RpcRunner:
        """What measures on them.

        Raises:
            TargetError: none can be used, or they cannot execute what is built for ``spec``.
        """
        return RpcRunner(self.options, self.count, spec, reference, expected)


def check_can_be_emulated(spec: TargetSpec) -> None:
    """Raise where there is no emulated board for ``spec``.

    Raises:
        TargetError: its code is not arm64's, or its file has no model of the core's timing.
    """
    if spec.machine != "EM_AARCH64":
        raise TargetError(
            f"target {spec.name} is {spec.machine} and the emulated board is arm64: name an arm64 "
            "target, such as cortex-a76"
        )
    if spec.timing is None:
        raise TargetError(
            f"targets/{spec.name}.toml has no 'timing', by which counted instructions become "
            "cycles: add it, or name another target, such as cortex-a76"
        )


def open_farm(
    tracker: str,
    key: str,
    threads: int,
    cooldown: float,
    timing: TimingModel | None = None,
    on_gpu: bool = False,
) -> Farm:
    """The devices of ``key`` at ``tracker``, HOST:PORT, or their GPUs through OpenCL.

    Raises:
        TargetError: no tracker there, or no device of that key.
    """
    address = DeviceAddress(*tracker_address(tracker), key)
    return Farm(DeviceOptions(address, threads, cooldown, timing, on_gpu), count_devices(address))
