"""Fetches Mesa's compiler for Mali; the command is `device/make_mali_compiler.py`.

What goes in is data, in `compiler.toml`; beside it the program that hands it kernels.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from compile.codegen.link.linkers import find_compiler
from compile.support.cache_folder import cache_folder
from compile.support.cached_folder import Recipe, is_made, make_once
from compile.support.errors import TargetError
from compile.support.run_tool import run_tool
from device.emulated.arm64.debian_packages import (
    delete_unneeded,
    sources_of_suites,
    unpack_packages,
)

_FOLDER = Path(__file__).parent
_COMPILER_FILE = _FOLDER / "compiler.toml"
_SOURCE = _FOLDER / "compile_kernels.c"
_STAMP = "mqnet-mali-compiler.json"

#: The program below the root that compiles kernels, and the OpenCL library that it is linked with.
PROGRAM = Path("compile-kernels")
_LIBRARY = Path("usr/lib/aarch64-linux-gnu/libOpenCL.so.1")


def default_compiler(environ: Mapping[str, str]) -> Path:
    """The compiler's folder in the user's cache."""
    return cache_folder(environ) / "mali-compiler"


def is_current(root: Path) -> bool:
    """Whether ``root`` was made completely, and of what `compiler.toml` names."""
    return is_made(root, _recipe())


def make_compiler(
    root: Path,
    sources: Path | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> bool:
    """Makes the folder, or does nothing when it is current; safe against a second process.

    Args:
        root: Where it shall be. An older one there is replaced; any other folder is refused.
        sources: A sources.list to use instead of the archive of this machine's packages.
        on_step: Called with the name of each step as it begins.

    Returns:
        Whether it was made (False: it was current).

    Raises:
        TargetError: No apt, no network, a package that cannot be had, no C compiler for arm64 or
            no OpenCL headers, a folder in the way.
    """
    data = tomllib.loads(_COMPILER_FILE.read_text())

    def fill(new_root: Path, work: Path) -> None:
        unpack_packages(
            new_root,
            work,
            data["packages"],
            "Mesa's packages cannot be fetched (the archive has to have Debian's "
            f"{' and '.join(data['suites'])}; name a sources.list that has by --sources)",
            sources or sources_of_suites(data["suites"], work / "sources.list"),
            with_dependencies=True,
            on_step=on_step,
        )
        delete_unneeded(new_root, data["delete"])
        on_step("program")
        _compile_program(new_root)

    return make_once(root, _recipe(), fill)


def _recipe() -> Recipe:
    content = _COMPILER_FILE.read_bytes() + _SOURCE.read_bytes()
    return Recipe("compiler for Mali", _STAMP, hashlib.sha256(content).hexdigest())


def _compile_program(root: Path) -> None:
    compiler = find_compiler(("aarch64-linux-gnu-gcc",))
    if compiler is None:
        raise TargetError(
            "no C compiler for arm64 is on PATH, and Mesa's compiler has to be called by a program "
            "of its machine: install one (apt-get install gcc-aarch64-linux-gnu)"
        )
    # The headers are the same on every machine, so this one's are taken, after arm64's own.
    command = [*compiler.command, "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]
    command += ["-idirafter", "/usr/include", "-o", str(root / PROGRAM), str(_SOURCE)]
    command += [str(root / _LIBRARY), "-Wl,--allow-shlib-undefined"]
    run_tool(
        command,
        f"{compiler.name()} does not compile {_SOURCE.name} (which needs OpenCL's headers: "
        "apt-get install opencl-headers)",
    )
