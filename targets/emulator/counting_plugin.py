"""Compiles the QEMU plugin that counts instructions, once for each version of its source."""

from __future__ import annotations

import subprocess
from pathlib import Path

from compile.atomic import atomic_path, make_folder
from compile.checksum import sha256_of
from compile.errors import TargetError
from targets.linkers import find_compiler

_SOURCE = Path(__file__).with_name("count_instructions.c")


def counting_plugin(folder: Path) -> Path:
    """The shared library that QEMU loads: from ``folder``, or compiled into it.

    Raises:
        TargetError: No C compiler, or it does not take the source.
        OutputError: The folder cannot be written to.
    """
    library = folder.absolute() / f"count_instructions-{sha256_of(_SOURCE)[:16]}.so"
    if library.exists():
        return library
    compiler = find_compiler(("cc", "gcc", "clang"))
    if compiler is None:
        raise TargetError(
            "no C compiler is on PATH, and counting instructions needs one for its QEMU plugin: "
            "install gcc (apt-get install gcc)"
        )
    make_folder(library.parent)
    with atomic_path(library) as beside:
        result = subprocess.run(
            [*compiler.command, "-O2", "-shared", "-fPIC", "-o", str(beside), str(_SOURCE)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if result.returncode:
            lines = result.stderr.strip().splitlines() or ["no message"]
            reason = next((line for line in lines if "error" in line), lines[-1])
            raise TargetError(f"{compiler.name()} does not compile {_SOURCE.name}: {reason}")
    return library
