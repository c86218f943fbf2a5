"""The C compiler of the standalone form: Zig's, out of PyPI's wheel, for every target alike.

It brings clang, lld, musl and the symbol versions of glibc, so neither a cross compiler nor an NDK
is needed.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from compile.support.cache_folder import cache_folder
from compile.support.errors import TargetError
from compile.support.run_tool import run_captured

# The oldest glibc for which the library can be loaded, as TVM's own wheels.
_GLIBC = "gnu.2.17"

#: What every source is compiled with: it has no warning in C11.
DIALECT = ("-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror")

_LINKED = "-Wl,-z,noexecstack,--no-undefined,--gc-sections"
_LAYOUT = Path(__file__).parents[3] / "device/runtime/native/program/static_program.ld"

#: How a shared library, or a program with one, is linked.
SHARED_LINKS = ("-s", "-Wl,-z,relro,-z,now", _LINKED)

#: How a program without a library is linked, whose source includes program/whole_file.h.
STATIC_LINKS = (
    *("-static", "-s", "-T", str(_LAYOUT), "-Wl,--entry=whole_file_start,-z,norelro"),
    _LINKED,
)


def musl(arch: str) -> str:
    """Name the target of static programs, and of objects that any C library may be linked to."""
    return f"{arch}-linux-musl"


def glibc(arch: str) -> str:
    """Name the target of shared libraries for Linux."""
    return f"{arch}-linux-{_GLIBC}"


def run_zig(arguments: Sequence[str], folder: Path) -> None:
    """Run one of Zig's tools, such as ``cc`` or ``ar``, in ``folder``.

    Raises:
        TargetError: PyPI's ziglang is not installed, or the tool fails.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise TargetError(
            "the standalone form is compiled by PyPI's ziglang, which is not installed: pip "
            "install ziglang"
        )
    # What Zig compiles of musl is kept, which takes half a minute the first time.
    cache = str(cache_folder(os.environ) / "zig")
    env = {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache} | dict(os.environ)
    result = run_captured([sys.executable, "-m", "ziglang", *arguments], env, folder)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if "error:" in line]
        reason = (lines or result.stderr.splitlines() or ["no message"])[0]
        raise TargetError(f"ziglang {arguments[0]} failed: {reason.strip()}")
