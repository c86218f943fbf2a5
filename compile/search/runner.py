"""What measures candidates: this machine (host_runner.py) or devices over RPC (rpc_runner.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tvm
from numpy.typing import NDArray

from compile.search.kernel_task import TaskArguments

# Results of float kernels may differ by the order of their sums, in units of the largest result.
_TOLERANCE = {"float16": 4e-3, "float32": 2e-5}
# Repetitions that differ by more than this are repeated once more.
_SPREAD = 0.1
# The reference kernel may take so much longer or shorter than at first.
_DRIFT = 0.05
# A few looks do not show all of the noise; beyond the limit a device says nothing.
_TIMES_NOISE, _MOST_DRIFT = 2.0, 0.25


@dataclass(frozen=True)
class Measurement:
    """Of one candidate.

    Attributes:
        seconds: of one call, several times over; empty where it failed.
        error: why it failed, or "".
    """

    seconds: tuple[float, ...] = ()
    error: str = ""

    @property
    def mean(self) -> float:
        """What MetaSchedule's database compares, in seconds."""
        return float(np.mean(self.seconds))

    @property
    def rank(self) -> float:
        """To sort by: what failed is last."""
        return self.mean if self.seconds else float("inf")


class Runner(Protocol):
    """Measures libraries of one function.

    Attributes:
        device: what it says of itself (see :func:`device.server.machine.describe_machine`).
        warnings: sentences on what went wrong with devices, for the session to show.
    """

    device: dict[str, Any]
    warnings: list[str]

    def measure(self, jobs: Sequence[tuple[TaskArguments, Path]]) -> list[Measurement]:
        """Each library with its arguments, timed where nothing else runs."""

    def check(self, arguments: TaskArguments, library: Path, expected: Path) -> str:
        """Why the library's results are not those in ``expected``, or ""."""

    def reference(self) -> float:
        """Seconds of a kernel that is the same in every session."""

    def close(self) -> None:
        """End its processes; devices are free for others."""


def settled(seconds: Sequence[float]) -> tuple[float, ...]:
    """The faster half: what disturbs a measurement only ever slows it down."""
    return tuple(sorted(seconds)[: (len(seconds) + 1) // 2])


def is_disturbed(seconds: Sequence[float]) -> bool:
    """Whether even the faster half differs so much that it is worth measuring again."""
    kept = settled(seconds)
    return kept[-1] > kept[0] * (1 + _SPREAD)


def has_drifted(reference: float, at_first: float, noise: float = 0.0) -> bool:
    """Whether a device is no longer what it was, by the seconds of its reference kernel; ``noise``
    is by what part of them it differs from one moment to the next."""
    return abs(reference / at_first - 1) > _allowed(noise)


def is_noisy(noise: float) -> bool:
    """Whether there is more ``noise`` than :func:`has_drifted` makes allowance for."""
    return _TIMES_NOISE * noise > _allowed(noise)


def noise_of(looks: Sequence[float]) -> float:
    """By what part of the seconds some measurements of the same differ."""
    return max(looks) / min(looks) - 1


def _allowed(noise: float) -> float:
    return max(_DRIFT, min(_TIMES_NOISE * noise, _MOST_DRIFT))


def wrong_result(results: Sequence[tvm.runtime.Tensor], expected: Path) -> str:
    """What differs between a kernel's ``results`` and those in the file ``expected``, or ""."""
    with np.load(expected) as arrays:
        for tensor, array in zip(results, arrays.values(), strict=True):
            if wrong := difference(tensor.numpy(), array):
                return wrong
    return ""


def difference(found: NDArray, expected: NDArray) -> str:
    """What differs between results that should be equal (floats: nearly), or ""."""
    if found.dtype.kind != "f":
        wrong = int((found != expected).sum())
        return f"{wrong} of {found.size} numbers are wrong" if wrong else ""
    largest = float(np.abs(expected).max(initial=0))
    error = np.abs(found.astype(np.float64) - expected).max(initial=0)
    # Not "error > ...", which NaN would pass.
    if error <= _TOLERANCE[found.dtype.name] * max(largest, 1e-6):
        return ""
    return f"off by {error:.3g} where the largest result is {largest:.3g}"
