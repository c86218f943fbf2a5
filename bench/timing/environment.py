"""Where a session ran: without it a figure is worth nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).parents[2]
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
# Other work that is still no reason to doubt, in cores; and how long it is watched for. The load
# average would still show what ended a minute ago.
_MOST_BUSY_CORES, _WATCH_SECONDS = 0.2, 1.0


def describe_environment() -> dict[str, Any]:
    """CPU, kernel, governor, other work, versions and commit of this machine and repository."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "governor": _GOVERNOR.read_text().strip() if _GOVERNOR.exists() else "not shown",
        "busy_cores": _busy_cores(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("apache-tvm", "torch", "numpy")},
        "commit": _commit(),
    }


class MachineTimes:
    """How busy the whole machine was since this was made, and how much was taken from it."""

    def __init__(self) -> None:
        self._begin = _jiffies()

    def doubts(self) -> list[str]:
        """Flags for everything that was measured since."""
        passed = {name: after - self._begin[name] for name, after in _jiffies().items()}
        total = sum(passed.values())
        if total and passed["steal"] / total > 0.02:
            return [f"{passed['steal'] / total:.0%} of the time stolen by the host"]
        return []


def load_doubts(busy_cores: float) -> list[str]:
    """A flag where other work ran before the session began."""
    busy = busy_cores > _MOST_BUSY_CORES
    return [f"{busy_cores:.1f} cores busy at the start"] if busy else []


def _busy_cores() -> float:
    """How many cores work at the moment."""
    before = _jiffies()
    time.sleep(_WATCH_SECONDS)
    passed = {name: after - before[name] for name, after in _jiffies().items()}
    idle = (passed["idle"] + passed["iowait"]) / max(1, sum(passed.values()))
    return round((1 - idle) * os.cpu_count(), 2)


def _jiffies() -> dict[str, int]:
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    with open("/proc/stat") as file:
        return dict(zip(names, map(int, file.readline().split()[1:9]), strict=True))


def _cpu_model() -> str:
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Of the checkout, with "+" where files differ from it; "unknown" outside of one."""
    command = ["git", "-C", str(_REPOSITORY), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
