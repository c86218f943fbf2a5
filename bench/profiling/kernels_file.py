"""What ``bench/kernel_times.py --json`` prints, for who reads it again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

from bench.profiling.kernel_call import KernelCall
from compile.support.json_record import read_record, record_json

FORMAT = 1
"""Raised with every change of what the file holds."""


class BuiltNetwork(msgspec.Struct, frozen=True):
    """The build whose kernels were timed.

    Attributes:
        scheme, target: by name, of the host's target with the instruction set.
        size: height x width in pixels.
        sha256: of its library.
    """

    scheme: str
    size: str
    target: str
    sha256: str


class MachineLimits(msgspec.Struct, frozen=True):
    """What the machine can do at most.

    Attributes:
        clock_hz, copy_bytes_per_second: see :class:`bench.session.clock.CoreLimits`.
        peak_macs_per_second: multiply-accumulates of one core by type, "int8" and "fp32"; 0 of a
            GPU, whose clock is not known.
    """

    clock_hz: float
    copy_bytes_per_second: float
    peak_macs_per_second: dict[str, float]


class KernelsFile(msgspec.Struct, frozen=True):
    """The kernel calls of a frame on one thread.

    Attributes:
        network: what was built.
        calls: in order.
        families: seconds by engine and kind of kernel.
        machine: what it can do at most.
        environment: where it ran, as facts by name.
    """

    network: BuiltNetwork
    calls: Annotated[tuple[KernelCall, ...], msgspec.Meta(min_length=1)]
    families: dict[str, dict[str, float]]
    machine: MachineLimits
    environment: dict[str, Any]

    def as_json(self) -> str:
        """The file's text."""
        return record_json(self, FORMAT)

    @property
    def seconds(self) -> float:
        """Of all calls."""
        return sum(call.seconds for call in self.calls)


def read_kernels(path: Path) -> KernelsFile:
    """Return the file at ``path``.

    Raises:
        MqnetError: it is missing, truncated, of another format, or holds something else.
    """
    remedy = "write it again with bench/kernel_times.py --json"
    return read_record(path, KernelsFile, FORMAT, remedy)
