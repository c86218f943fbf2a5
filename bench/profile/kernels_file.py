"""What ``bench/kernel_times.py --json`` prints, for who reads it again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.profile.kernel_call import KernelCall
from compile.support.errors import MqnetError

FORMAT = 1
"""Raised with every change of what the file holds."""


@dataclass(frozen=True)
class KernelsFile:
    """The kernel calls of a frame on one thread.

    Attributes:
        network: "scheme", "size", "target" and "sha256" of the build.
        calls: in order.
        families: seconds by engine and kind of kernel.
        machine: "clock_hz", "copy_bytes_per_second" and "peak_macs_per_second" by type.
        environment: where it ran.
    """

    network: dict[str, str]
    calls: tuple[KernelCall, ...]
    families: dict[str, dict[str, float]]
    machine: dict[str, Any]
    environment: dict[str, Any]

    def as_json(self) -> str:
        """The file's text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @property
    def seconds(self) -> float:
        """Of all calls."""
        return sum(call.seconds for call in self.calls)


def read_kernels(path: Path) -> KernelsFile:
    """The file at ``path``.

    Raises:
        MqnetError: it is missing, truncated, of another format, or holds something else.
    """
    again = "write it again with bench/kernel_times.py --json"
    try:
        kernels = json.loads(path.read_text())
    except OSError as error:
        raise MqnetError(f"{path} cannot be read ({error.strerror}): {again}") from None
    except ValueError:
        raise MqnetError(f"{path} is truncated or not JSON: {again}") from None
    found = kernels.pop("format", None) if isinstance(kernels, dict) else None
    if found != FORMAT:
        raise MqnetError(f"{path} has format {found}, not {FORMAT}: {again}")
    try:
        calls = tuple(_call(**call) for call in kernels.pop("calls"))
        return KernelsFile(calls=calls, **kernels)
    except (TypeError, KeyError):
        raise MqnetError(f"{path} holds no kernel calls: {again}") from None


def _call(layers: list[str], inputs: list[str], **others: Any) -> KernelCall:
    return KernelCall(layers=tuple(layers), inputs=tuple(inputs), **others)
