"""What the running machine is, for whoever reads a time that was measured on it."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

from targets.detect_host import parse_cpuinfo

_CPUINFO = Path("/proc/cpuinfo")
_BOARD_NAME = Path("/sys/firmware/devicetree/base/model")
_CPUS = Path("/sys/devices/system/cpu")
_GOVERNOR = _CPUS / "cpu0/cpufreq/scaling_governor"
# How long other work is watched for: the load average would still show what ended a minute ago.
_WATCH_SECONDS = 1.0


def describe_machine() -> dict[str, Any]:
    """Architecture, CPU and its features, memory, kernel, governor and other work at the moment.

    "emulated" names the emulator, and is empty on a real machine: times of an emulated one say
    nothing about any device, and the CPU's name says so, too.
    """
    cpuinfo = _read(_CPUINFO)
    machine = platform.machine()
    cores = len(os.sched_getaffinity(0))
    emulator = emulated_by(_read(Path("/proc/self/comm")), cpuinfo, machine)
    cpu = cpu_name(cpuinfo, _read(_BOARD_NAME), machine)
    return {
        "cpu": f"EMULATED by {emulator}: {cpu}" if emulator else cpu,
        "emulated": emulator,
        "machine": machine,
        "mhz": _most_mhz(cpuinfo),
        "features": sorted(parse_cpuinfo(cpuinfo, machine, cores).flags),
        "cores": cores,
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "governor": _read(_GOVERNOR).strip() or "not shown",
        "busy_cores": _busy_cores(),
        "python": platform.python_version(),
    }


def emulated_by(command: str, cpuinfo: str, machine: str) -> str:
    """The emulator that this process runs in, "" where there is none.

    Args:
        command: the process's name as the kernel knows it, which is the emulator's.
        cpuinfo: of the kernel below; started through binfmt_misc an emulator keeps the program's
            name, but shows the real CPU.
        machine: what the process takes the machine for.
    """
    if command.startswith("qemu-"):
        return "qemu-user"
    is_x86 = any(line.startswith("vendor_id") for line in cpuinfo.splitlines())
    return "qemu-user" if is_x86 and machine == "aarch64" else ""


def cpu_name(cpuinfo: str, board: str, machine: str) -> str:
    """The processor's name, else the board's, else the numbers of its cores' designs."""
    fields = [[part.strip() for part in line.partition(":")[::2]] for line in cpuinfo.splitlines()]
    for key, value in fields:
        if key in ("model name", "Model") and value:
            return value
    if name := board.strip("\0\n "):
        return name
    parts = dict.fromkeys(value for key, value in fields if key == "CPU part")
    makers = [value for key, value in fields if key == "CPU implementer"]
    if not parts or not makers:
        return machine
    return f"{machine}, implementer {makers[0]}, parts {', '.join(parts)}"


def fastest_cores(count: int) -> list[int]:
    """``count`` of the cores that this process may use, the most capable ones first.

    Raises:
        ValueError: there are fewer.
    """
    cores = sorted(os.sched_getaffinity(0), key=lambda core: (-_capacity(core), core))
    if count > len(cores):
        raise ValueError(f"threads {count} is more than the {len(cores)} cores that there are")
    return cores[:count]


def machine_times() -> dict[str, int]:
    """What the whole machine has spent its time on, in the kernel's ticks."""
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    with open("/proc/stat") as file:
        return dict(zip(names, map(int, file.readline().split()[1:9]), strict=True))


def _most_mhz(cpuinfo: str) -> int | None:
    """The highest clock of the first core; None where the kernel does not tell, as on ARM without
    cpufreq."""
    if text := _read(_CPUS / "cpu0/cpufreq/cpuinfo_max_freq").strip():
        return int(text) // 1000
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "cpu MHz":
            return round(float(value))
    return None


def _capacity(core: int) -> int:
    """Only comparable with another core's of this machine; 0 where the kernel tells nothing."""
    for name in ("cpu_capacity", "cpufreq/cpuinfo_max_freq"):
        if text := _read(_CPUS / f"cpu{core}" / name).strip():
            return int(text)
    return 0


def _busy_cores() -> float | None:
    """How many cores work at the moment; None where the kernel does not tell, as on Android."""
    try:
        before = machine_times()
        time.sleep(_WATCH_SECONDS)
        passed = {name: after - before[name] for name, after in machine_times().items()}
    except OSError:
        return None
    cores = os.cpu_count()
    if cores is None:
        return None
    idle = (passed["idle"] + passed["iowait"]) / max(1, sum(passed.values()))
    return round((1 - idle) * cores, 2)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
