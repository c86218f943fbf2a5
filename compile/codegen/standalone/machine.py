"""What an ELF machine is called."""

from __future__ import annotations

_ARCHITECTURES = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}


def architecture(machine: str) -> str:
    """Name an ELF machine, such as `EM_AARCH64`, as `uname -m` and compilers do."""
    return _ARCHITECTURES[machine]
