"""Times the kernel calls of a frame on one core or a GPU: on this machine, or on a device."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from bench.engines.tvm_artefact import version_here
from bench.profiling.join_calls import kernels_of
from bench.session.artefact_frame import artefact_frame
from bench.session.clock import CoreLimits, measure_this_core
from bench.session.device import device_environment, open_device
from bench.session.environment import describe_environment, describe_repository
from compile.artefact.reader import Artefact
from compile.support.errors import TargetError
from compile.support.outcome import WorkerError
from compile.support.progress import Progress
from device.client.address import DeviceAddress
from device.runtime.run_artefact import Session
from device.server.kernel_calls import TimedCall, time_calls
from targets.describe_target import described_processor

# Frames that are not timed.
_WARM_UP = 3


@dataclass(frozen=True)
class MeasuredCalls:
    """A frame.

    Attributes:
        calls: of its kernels, in order.
        limits: of the core that computes, or that starts a GPU's kernels.
        environment: where it ran.
        version: of TVM there, with the GPU's name.
    """

    calls: list[TimedCall]
    limits: CoreLimits
    environment: dict[str, Any]
    version: str | None


def measure_here(artefact: Artefact, frames: int, progress: Progress) -> MeasuredCalls:
    """Measure ``artefact`` on this machine, whose first core this process keeps to from now on.

    Raises:
        ArtefactError: it does not run here.
    """
    environment = describe_environment()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    with progress.phase(f"{frames} frames"):
        network = Session(artefact, 1).network
        network.set_inputs(artefact_frame(artefact))
        calls = time_calls(network, kernels_of(artefact), frames, _WARM_UP)
    with progress.phase("limits of the core"):
        limits = measure_this_core(described_processor(artefact.manifest.target))
    return MeasuredCalls(calls, limits, environment, version_here(artefact))


def measure_there(
    artefact: Artefact, frames: int, address: DeviceAddress, progress: Progress
) -> MeasuredCalls:
    """Measure ``artefact`` on the fastest core of a device that is served by
    ``device/serve.py``, or its GPU.

    Raises:
        TargetError: no such device, or it cannot be reached.
        ArtefactError: it does not run there.
    """
    asked = artefact, artefact_frame(artefact), kernels_of(artefact), frames, _WARM_UP
    with progress.phase(f"{frames} frames on {address}"), open_device(address) as device:
        device.check_runs(artefact.manifest.target.name, artefact.needs)
        environment = device_environment(device) | describe_repository()
        try:
            version, calls = device.time_calls(*asked)
            limits = device.measure_core(described_processor(artefact.manifest.target))
        except WorkerError as error:
            raise TargetError(f"{address}: {error}") from None
    return MeasuredCalls(calls, limits, environment, version)
