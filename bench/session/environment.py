"""Where a session ran: without it a figure is worth nothing."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from device.server.machine import describe_machine, machine_times

_REPOSITORY = Path(__file__).parents[2]
# Other work that is still no reason to doubt, in cores.
_MOST_BUSY_CORES = 0.2


def describe_environment() -> dict[str, Any]:
    """This machine, and the versions and commit of this repository."""
    machine = describe_machine()
    del machine["features"]
    return machine | describe_repository()


def describe_repository() -> dict[str, Any]:
    """Versions and commit of what builds and measures, and the day."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": {name: version(name) for name in ("apache-tvm", "torch", "numpy")},
        "commit": _commit(),
    }


class MachineTimes:
    """How busy the whole machine was since this was made, and how much was taken from it."""

    def __init__(self) -> None:
        self._begin = machine_times()

    def flags(self) -> list[str]:
        """Return flags for everything that was measured since."""
        passed = {name: after - self._begin[name] for name, after in machine_times().items()}
        total = sum(passed.values())
        if total and passed["steal"] / total > 0.02:
            return [f"{passed['steal'] / total:.0%} of the time stolen by the host"]
        return []


def load_flags(busy_cores: float | None) -> list[str]:
    """Return a flag where other work ran before the session began; none where that is not known."""
    busy = busy_cores is not None and busy_cores > _MOST_BUSY_CORES
    return [f"{busy_cores:.1f} cores busy at the start"] if busy else []


def _commit() -> str:
    """Of the checkout, with "+" where files differ from it; "unknown" outside of one."""
    command = ["git", "-C", str(_REPOSITORY), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
