"""Builds the OpenCL plugin; the command is `device/build_opencl.py`."""

from __future__ import annotations

import importlib.util
import platform
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compile.support.atomic import atomic_path, make_folder
from compile.support.errors import TargetError
from compile.support.run_tool import run_captured
from compile.support.scratch_folder import scratch_folder
from device.opencl.plugin import SOURCES, source_files

_MACHINES = ("x86_64", "aarch64")
_FLAGS = ("-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra")
_LINK_FLAGS = ("-shared", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack", "-s")
# As many as a machine has cores at least. More would instantiate the same templates again.
_UNITS = 2
# What the plugin calls and Python has loaded before; the loader goes by these names alone.
_TVM_LIBRARIES = ("libtvm_runtime.so", "libtvm_ffi.so")


def build_plugin(machine: str, path: Path, search_path: str | None = None) -> None:
    """Compiles and links the plugin, which appears at ``path`` whole or not at all.

    Args:
        machine: As `platform.machine()` calls it.
        path: The library to write; its folder is made.
        search_path: Folders to look for the compiler in, as in PATH; None for the process's own.

    Raises:
        TargetError: No compiler, no OpenCL headers, or an error of the compiler.
        OutputError: The library cannot be written.
    """
    compiler = find_cxx(machine, search_path)
    make_folder(path.parent)
    with scratch_folder("mqnet-opencl-") as work:
        units = _write_units(work)
        with ThreadPoolExecutor(len(units)) as pool:
            objects = list(pool.map(lambda unit: _compile(compiler, unit, work), units))
        stubs = [_stub(compiler, name, work) for name in _TVM_LIBRARIES]
        with atomic_path(path) as unfinished:
            command: list[str | Path] = [compiler, *_LINK_FLAGS, "-o", unfinished, *objects]
            _run([*command, "-Wl,--no-as-needed", *stubs, "-Wl,--as-needed", "-ldl"])


def find_cxx(machine: str, search_path: str | None = None) -> str:
    """The C++ compiler that makes code for ``machine``.

    Raises:
        TargetError: There is none; says what to install.
    """
    if machine not in _MACHINES:
        raise TargetError(f"no OpenCL plugin for {machine}: choose {' or '.join(_MACHINES)}")
    names: tuple[str, ...] = (f"{machine}-linux-gnu-g++",)
    package = f"g++-{machine.replace('_', '-')}-linux-gnu"
    if machine == platform.machine():
        names, package = ("g++", "c++", *names), "g++"
    for name in names:
        if found := shutil.which(name, path=search_path):
            return found
    raise TargetError(f"no {names[0]} on PATH: install it (apt-get install {package})")


def _write_units(folder: Path) -> list[Path]:
    """Write files that include all sources between them: what takes time are TVM's templates, which
    a unit instantiates once for all of its sources."""
    sources, units = source_files(), [folder / f"unit{number}.cc" for number in range(_UNITS)]
    for number, unit in enumerate(units):
        unit.write_text("".join(f'#include "{one}"\n' for one in sources[number::_UNITS]))
    return units


def _compile(compiler: str, source: Path, folder: Path) -> Path:
    output = folder / f"{source.stem}.o"
    includes: list[str | Path] = []
    for package in ("tvm", "tvm_ffi"):
        includes += ["-isystem", _headers_of(package)]
    # Stand-ins for headers that the wheel lacks: last, so that real ones win.
    includes += ["-idirafter", SOURCES / "wheel"]
    _run([compiler, *_FLAGS, *includes, "-c", source, "-o", output])
    return output


def _headers_of(package: str) -> Path:
    """Found without importing the package, which takes seconds."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.submodule_search_locations is not None
    (folder,) = spec.submodule_search_locations
    return Path(folder) / "include"


def _stub(compiler: str, name: str, folder: Path) -> Path:
    """An empty library of that name: for another machine the real ones need not be here."""
    path, empty = folder / name, folder / "empty.cc"
    empty.touch()
    _run([compiler, "-shared", "-nostdlib", f"-Wl,-soname,{name}", "-o", path, empty])
    return path


def _run(command: list[str | Path]) -> None:
    arguments = [str(part) for part in command]
    result = run_captured(arguments, output=Path(arguments[-1]))
    if result.returncode == 0:
        return
    if "CL/cl.h" in result.stderr:
        raise TargetError("no CL/cl.h: install OpenCL's headers (apt-get install opencl-headers)")
    lines = [line for line in result.stderr.splitlines() if line.strip()] or ["no message"]
    reason = next((line for line in lines if "error" in line), lines[-1])
    raise TargetError(f"{Path(arguments[0]).name} cannot make the OpenCL plugin: {reason}")
