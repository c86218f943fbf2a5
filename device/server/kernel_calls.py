"""How long each kernel call of a frame takes, on the machine that this runs on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm

from device.runtime.tvm_network import TvmNetwork
from device.server.stopwatch import start_stopwatch


@dataclass(frozen=True)
class TimedCall:
    """A kernel call.

    Attributes:
        name: of the kernel.
        shapes, dtypes: of its arguments in order, the output last.
        seconds: of the device, see :func:`device.server.stopwatch.start_stopwatch`; the median
            over the frames.
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    seconds: float

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> TimedCall:
        """What :func:`dataclasses.asdict` has made of one, by way of JSON."""
        shapes = tuple(map(tuple, fields["shapes"]))
        return cls(fields["name"], shapes, tuple(fields["dtypes"]), fields["seconds"])


def time_calls(
    network: TvmNetwork, kernels: Collection[str], frames: int, warm_up: int
) -> list[TimedCall]:
    """Every call of the ``kernels`` in a frame of the photo that ``network`` has, in order, timed
    in ``frames`` frames behind ``warm_up`` others."""
    seconds: list[list[float]] = []
    calls: list[tuple[str, tuple[tuple[int, ...], ...], tuple[str, ...]]] = []
    stop: Callable[[], float] = float

    def observe(
        name: str, before: bool, device: tvm.runtime.Device, arguments: Sequence[Any]
    ) -> None:
        nonlocal stop
        if name not in kernels:
            return
        if before:
            stop = start_stopwatch(device)
            return
        seconds[-1].append(stop())
        if len(seconds) == 1:
            shapes = tuple(tuple(map(int, tensor.shape)) for tensor in arguments)
            calls.append((name, shapes, tuple(str(tensor.dtype) for tensor in arguments)))

    for _ in range(warm_up + frames):
        seconds.append([])
        network.run_observed(observe)
    medians = np.median(seconds[warm_up:], axis=0).tolist()
    return [
        TimedCall(name, shapes, dtypes, median)
        for (name, shapes, dtypes), median in zip(calls, medians, strict=True)
    ]
