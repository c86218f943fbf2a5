"""What this machine is: architecture, CPU flags, cores, caches, and LLVM's name for it.

Only reads; which instruction set follows from it is data in `host.toml`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)

_CPUINFO = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# The LLVM features that decide which vector code is emitted. Others that a core's name implies
# (tuning flags, instructions for kernels) are not in /proc/cpuinfo and are never generated here.
_VECTOR_FEATURES = ("avx", "fma", "f16c", "bmi", "sse", "neon", "dotprod", "i8mm", "sve", "bf16")
# /proc/cpuinfo's names where they differ from LLVM's by more than `_`, `-` and `.`.
_LLVM_NAMES = {"asimd": "neon", "asimddp": "dotprod", "pni": "sse3", "bmi1": "bmi"}


@dataclass(frozen=True)
class HostMachine:
    """The running machine.

    Attributes:
        arch: As `uname -m`: `x86_64`, `aarch64`.
        flags: CPU features as /proc/cpuinfo spells them.
        cpu_family: Vendor and family as /proc/cpuinfo has them, as `AuthenticAMD 25`; may be empty.
        model: The processor's name for people; may be empty.
        cores: Cores that this process may run on.
        l1d_bytes: Level 1 data cache of a core in bytes; 0 where the machine does not tell.
        l2_bytes: Level 2 cache in bytes; 0 where the machine does not tell.
    """

    arch: str
    flags: frozenset[str]
    cpu_family: str = ""
    model: str = ""
    cores: int = 1
    l1d_bytes: int = 0
    l2_bytes: int = 0

    def has(self, arch: str, requires: Sequence[str], cpu_family: str | None = None) -> bool:
        """Whether it is of that architecture (and family) and has all the flags."""
        return (
            arch == self.arch
            and self.flags.issuperset(requires)
            and cpu_family in (None, self.cpu_family)
        )


def read_host_machine() -> HostMachine:
    """Reads /proc and /sys; what they lack stays empty."""
    try:
        cpuinfo = _CPUINFO.read_text(errors="replace")
    except OSError as error:
        _log.warning("%s cannot be read (%s): the baseline is assumed", _CPUINFO, error)
        cpuinfo = ""
    return parse_cpuinfo(
        cpuinfo,
        arch=os.uname().machine,
        cores=len(os.sched_getaffinity(0)),
        l1d_bytes=_cache_bytes(1),
        l2_bytes=_cache_bytes(2),
    )


def parse_cpuinfo(
    cpuinfo: str, arch: str, cores: int, l1d_bytes: int = 0, l2_bytes: int = 0
) -> HostMachine:
    """A machine from the text of /proc/cpuinfo.

    Flags are those that every core has: the little cores of a chip may lack some of the big ones'.
    """
    fields: dict[str, str] = {}
    flags: frozenset[str] | None = None
    for line in cpuinfo.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key in ("flags", "Features"):
            flags = frozenset(value.split()) if flags is None else flags & frozenset(value.split())
        fields.setdefault(key, value)
    return HostMachine(
        arch=arch,
        flags=flags or frozenset(),
        cpu_family=f"{fields.get('vendor_id', '')} {fields.get('cpu family', '')}".strip(),
        model=fields.get("model name", ""),
        cores=cores,
        l1d_bytes=l1d_bytes,
        l2_bytes=l2_bytes,
    )


def llvm_host_cpu(machine: HostMachine, triple: str, fallback: str) -> str:
    """LLVM's name for this machine's core, or `fallback` where the name would promise too much.

    A hypervisor may hide features that LLVM concludes from family and model; code for the full
    core would then end in SIGILL.
    """
    # Outside of a running TVM the import takes seconds, and only the host needs it.
    from tvm.target import Target, codegen

    name = str(codegen.llvm_get_system_cpu())
    if name in ("", "generic") or machine.arch != os.uname().machine:
        return fallback
    target = Target({"kind": "llvm", "mtriple": triple, "mcpu": name})
    implied = {
        _plain(str(feature))
        for feature in codegen.llvm_get_cpu_features(target)
        if str(feature).startswith(_VECTOR_FEATURES)
    }
    present = {_plain(_LLVM_NAMES.get(flag, flag)) for flag in machine.flags}
    if lacking := sorted(implied - present):
        _log.info("%s would have %s, this machine has not: %s", name, ", ".join(lacking), fallback)
        return fallback
    return name


def _plain(feature: str) -> str:
    return feature.translate(str.maketrans("", "", "_-."))


def _cache_bytes(level: int) -> int:
    for folder in sorted(_CACHES.glob("index*")):
        try:
            fields = [(folder / name).read_text().strip() for name in ("level", "type", "size")]
        except OSError:
            continue
        if fields[0] == str(level) and fields[1] in ("Data", "Unified") and fields[2][-1:] == "K":
            return int(fields[2][:-1]) * 1024
    return 0
