"""Compiles the QEMU plugin that counts instructions."""

from __future__ import annotations

from pathlib import Path

from compile.codegen.link.linkers import find_compiler
from compile.support.errors import TargetError
from compile.support.run_tool import run_captured

_FOLDER = Path(__file__).parent
_SOURCE = _FOLDER / "count_instructions.c"
_FLAGS = ("-O2", "-shared", "-fPIC")


def counting_plugin(folder: Path) -> Path:
    """The shared library that QEMU loads to count, compiled into ``folder``.

    It takes a twentieth of a second; a library that is kept could be damaged, and QEMU crashes at
    one that is cut short.

    Raises:
        TargetError: No C compiler, or it does not take the source.
    """
    return compile_plugin(_SOURCE, folder)


def compile_plugin(source: Path, folder: Path, *flags: str) -> Path:
    """The shared library of a plugin beside this file, compiled into ``folder``.

    Raises:
        TargetError: No C compiler, or it does not take the source.
    """
    library = folder / f"{source.stem}.so"
    compiler = find_compiler(("cc", "gcc", "clang"))
    if compiler is None:
        raise TargetError(
            "no C compiler is on PATH, and counting instructions needs one for its QEMU plugin: "
            "install gcc (apt-get install gcc)"
        )
    command = [*compiler.command, *_FLAGS, *flags, f"-I{_FOLDER}", "-o", str(library), str(source)]
    result = run_captured(command)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["no message"]
        reason = next((line for line in lines if "error" in line), lines[-1])
        raise TargetError(f"{compiler.name()} does not compile {source.name}: {reason}")
    return library
