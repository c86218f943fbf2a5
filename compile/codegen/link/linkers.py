"""Finds a linker on this machine: a C compiler, lld under any of its names, or the NDK's clang."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compile.support.errors import TargetError

_LLD = re.compile(r"ld\.lld(?:-(\d+))?")
ANDROID_CLANG = "aarch64-linux-android24-clang"


@dataclass(frozen=True)
class Linker:
    """A linker that was found.

    Attributes:
        command: The program and the arguments that make it this linker.
        is_driver: It is a C compiler that calls a linker, so that linker flags need `-Wl,`.
    """

    command: tuple[str, ...]
    is_driver: bool

    def name(self) -> str:
        """How the manifest and error texts call it."""
        return " ".join(self.command)

    def version(self) -> str:
        """First line of what it answers to `--version`; empty where it does not answer."""
        try:
            result = subprocess.run(
                [*self.command, "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return next(iter(result.stdout.splitlines()), "").strip()


def find_lld(search_path: str | None = None) -> Linker | None:
    """lld: `ld.lld`, the newest `ld.lld-NN`, or the one in PyPI's ziglang.

    Args:
        search_path: Folders as in PATH; None for the process's own.
    """
    found: list[tuple[int, str]] = []
    path = os.get_exec_path() if search_path is None else search_path.split(os.pathsep)
    for folder in path:
        for program in Path(folder or ".").glob("ld.lld*"):
            match = _LLD.fullmatch(program.name)
            if match and os.access(program, os.X_OK):
                # The unversioned name is what the machine's owner chose: it goes first.
                found.append((int(match[1]) if match[1] else sys.maxsize, str(program)))
    if found:
        return Linker((max(found, key=lambda item: item[0])[1],), is_driver=False)
    if importlib.util.find_spec("ziglang") is not None:
        return Linker((sys.executable, "-m", "ziglang", "ld.lld"), is_driver=False)
    return None


def find_compiler(names: Sequence[str], search_path: str | None = None) -> Linker | None:
    """The first of these C compilers that is installed."""
    for name in names:
        if program := shutil.which(name, path=search_path):
            return Linker((program,), is_driver=True)
    return None


def find_ndk(environ: Mapping[str, str]) -> Path | None:
    """The NDK's C compiler, by TVM_NDK_CC or ANDROID_NDK_HOME; None where neither is set.

    Only command lines call this: everything below takes the path as an argument.

    Raises:
        TargetError: One is set and there is no compiler where it points.
    """
    if compiler := environ.get("TVM_NDK_CC"):
        if found := shutil.which(compiler):
            return Path(found)
        raise TargetError(f"TVM_NDK_CC names {compiler}, which is no program that can be run")
    if home := environ.get("ANDROID_NDK_HOME"):
        programs = Path(home).glob(f"toolchains/llvm/prebuilt/*/bin/{ANDROID_CLANG}")
        if usable := sorted(program for program in programs if os.access(program, os.X_OK)):
            return usable[0]
        raise TargetError(
            f"ANDROID_NDK_HOME is {home}, which holds no "
            f"toolchains/llvm/prebuilt/*/bin/{ANDROID_CLANG}; unset it to link by lld"
        )
    return None
