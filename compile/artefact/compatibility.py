"""Whether this machine can execute a library."""

from __future__ import annotations

from collections.abc import Sequence

from targets.detect_host import HostMachine, read_host_machine

_ARCHITECTURES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}


def why_not_here(
    machine: str,
    requires: Sequence[str],
    linker: str,
    here: HostMachine | None = None,
    name: str = "this machine",
) -> str | None:
    """Why a library cannot run on this machine or another, as a clause; None where it can.

    Args:
        machine: ELF machine of the library, as `EM_AARCH64`.
        requires: CPU features that its target demands, as /proc/cpuinfo spells them.
        linker: How it was linked, as the target file says.
        here: The machine that is asked about; this one unless given.
        name: What that machine is called in the clause.
    """
    here = here or read_host_machine()
    if _ARCHITECTURES.get(machine) != here.arch:
        return f"it holds {machine} code and {name} is {here.arch}"
    if linker == "android-arm64":
        return "it is linked against Android's C library"
    if missing := sorted(set(requires) - here.flags):
        return f"it needs the CPU features {', '.join(missing)}, which {name} lacks"
    return None
