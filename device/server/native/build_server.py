"""Builds the native RPC server: one static program for a board or phone that has no Python.

Its sources are beside this file; with the C runtime of the standalone form they are one program.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from compile.codegen.standalone.zig import DIALECT, STATIC_LINKS, musl, run_zig
from compile.support.atomic import atomic_path
from compile.support.build_cache import NO_CACHE, BuildCache, key_of
from compile.support.scratch_folder import scratch_folder

#: What it is called.
SERVER = "mqnet-rpc-server"

#: Its own sources.
SOURCES = Path(__file__).parent

#: The C runtime that runs kernels there as in the standalone form.
RUNTIME = Path(__file__).parents[2] / "runtime" / "native"

#: Beside the dialect: the runtime has functions that only the standalone form calls.
OPTIONS = (*DIALECT, "-Wno-unused-function")

_MAIN = SOURCES / "mqnet_rpc_server.c"
_OPTIMIZE = ("-O2", "-ffunction-sections", "-fno-sanitize=all", "-fno-stack-protector")
_KIND = "rpc-server"
_EXECUTABLE = 0o755


def build_native_server(arch: str, path: Path, cache: BuildCache = NO_CACHE) -> None:
    """Write the server for machines of ``arch``, "aarch64" or "x86_64", to ``path``; from ``cache``
    where it was built before.

    Raises:
        TargetError: Zig's compiler is not installed.
        OutputError: the file cannot be written.
    """
    key = _key(arch)
    program = cache.get(_KIND, key)
    if program is None:
        program = _compile(arch)
        cache.put(_KIND, key, program)
    with atomic_path(path) as beside:
        beside.write_bytes(program)
        os.chmod(beside, _EXECUTABLE)


def source_files() -> list[Path]:
    """List all that it is compiled from."""
    return sorted([*SOURCES.glob("*.[ch]"), *RUNTIME.rglob("*.h"), *RUNTIME.rglob("*.ld")])


def _compile(arch: str) -> bytes:
    with scratch_folder("mqnet-server-") as work:
        run_zig(["cc", *_flags(arch), str(_MAIN), "-lm", "-lpthread", "-o", SERVER], work)
        return (work / SERVER).read_bytes()


def _flags(arch: str) -> list[str]:
    flags = ["-target", musl(arch), *OPTIONS, *_OPTIMIZE]
    if arch == "aarch64":
        # Calls of a helper library that Zig's does not have.
        flags.append("-mno-outline-atomics")
    flags += ["-I", str(SOURCES), "-I", str(RUNTIME)]
    return [*flags, *STATIC_LINKS]


def _key(arch: str) -> str:
    """Compute the key of what is compiled from these sources, wherever they lie."""
    flags = [flag for flag in _flags(arch) if not flag.startswith("/")]
    files = [file.read_bytes() for file in source_files()]
    try:
        compiler = version("ziglang")
    except PackageNotFoundError:
        compiler = ""  # Whoever needs it says so.
    return key_of(arch, compiler, *flags, *files)
