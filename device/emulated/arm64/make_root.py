"""Makes the emulated arm64 board's root folder; the command is `device/make_board.py`.

Debian's arm64 packages are unpacked, the aarch64 wheels of this environment's versions are put
beside them, and everything is compiled to byte code: importing TVM under QEMU then takes seconds
instead of a minute. What goes in is data, in `board.toml`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from compile.support.cache_folder import cache_folder
from compile.support.cached_folder import Recipe, is_made, make_once
from compile.support.run_tool import run_tool
from device.emulated.arm64.debian_packages import delete_unneeded, unpack_packages

_log = logging.getLogger(__name__)
_BOARD_FILE = Path(__file__).with_name("board.toml")
_STAMP_NAME = "mqnet-board.json"
_SITE_PACKAGES = Path("usr/lib/python3/dist-packages")
# Raised when the recipe below changes what it makes of the same `board.toml`.
_RECIPE_VERSION = 2


@dataclass(frozen=True)
class BoardPins:
    """What a root is made of.

    Attributes:
        python: The board's Python, as `3.11`.
        debian_packages: Names of the Debian packages.
        wheels: Requirements with exact versions, those of this environment.
        platforms: Wheel platform tags that the board takes.
        delete: Glob patterns below the root that are left out.
        cpuinfo: /proc/cpuinfo of one core.
    """

    python: str
    debian_packages: tuple[str, ...]
    wheels: tuple[str, ...]
    platforms: tuple[str, ...]
    delete: tuple[str, ...]
    cpuinfo: str

    def digest(self) -> str:
        """SHA-256 over all of it: the same digest means that a root need not be made again."""
        text = json.dumps([_RECIPE_VERSION, self.__dict__], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def default_root(environ: Mapping[str, str]) -> Path:
    """The root's folder in the user's cache."""
    return cache_folder(environ) / "arm64-board"


def read_pins() -> BoardPins:
    """Reads `board.toml` and the versions that are installed here."""
    data = tomllib.loads(_BOARD_FILE.read_text())
    wheels = tuple(f"{name}=={importlib.metadata.version(name)}" for name in data["wheels"])
    return BoardPins(
        python=data["python"],
        debian_packages=tuple(data["debian_packages"]),
        wheels=wheels,
        platforms=tuple(data["platforms"]),
        delete=tuple(data["delete"]),
        cpuinfo=data["cpuinfo"].strip(),
    )


def is_current(root: Path) -> bool:
    """Whether `root` was made completely, and of exactly the current pins."""
    return is_made(root, _recipe(read_pins()))


def make_root(
    root: Path,
    sources: Path | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> bool:
    """Makes the root, or does nothing when it is current; safe against a second process.

    Args:
        root: Where it shall be. An older root there is replaced; any other folder is refused.
        sources: A sources.list to use instead of the machine's own.
        on_step: Called with the name of each step as it begins.

    Returns:
        Whether it was made (False: it was current).

    Raises:
        TargetError: No apt, no network, a package or wheel that cannot be had, a folder in the way.
    """
    pins = read_pins()

    def fill(new_root: Path, work: Path) -> None:
        unpack_packages(
            new_root,
            work,
            pins.debian_packages,
            "the board's Debian packages cannot be fetched (this release has to have "
            f"python{pins.python}, and its sources arm64 packages; on Ubuntu name a sources.list "
            "that has them by --sources)",
            sources,
            on_step=on_step,
        )
        on_step("wheels")
        _install_wheels(new_root, pins)
        delete_unneeded(new_root, pins.delete)
        _write_cpuinfo(new_root, pins)
        on_step("byte code")
        _compile_python(new_root, pins)

    return make_once(root, _recipe(pins), fill)


def _recipe(pins: BoardPins) -> Recipe:
    return Recipe("emulated board", _STAMP_NAME, pins.digest(), {"wheels": pins.wheels})


def _install_wheels(root: Path, pins: BoardPins) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"]
    command += ["--target", str(root / _SITE_PACKAGES), "--only-binary=:all:"]
    command += ["--python-version", pins.python, "--implementation", "cp"]
    for platform in pins.platforms:
        command += ["--platform", platform]
    run_tool([*command, *pins.wheels], "the board's aarch64 wheels cannot be installed")


def _write_cpuinfo(root: Path, pins: BoardPins) -> None:
    """As many cores as this machine has: QEMU shows that number everywhere else."""
    (root / "proc").mkdir()
    cores = [f"processor\t: {number}\n{pins.cpuinfo}\n" for number in range(os.cpu_count() or 1)]
    (root / "proc/cpuinfo").write_text("\n".join(cores))


def _compile_python(root: Path, pins: BoardPins) -> None:
    """Writes .pyc files with this Python, whose byte code is the board's if the versions agree."""
    if pins.python != f"{sys.version_info.major}.{sys.version_info.minor}":
        _log.warning("this is not Python %s: the board will start slowly", pins.python)
        return
    folders = [root / _SITE_PACKAGES, root / f"usr/lib/python{pins.python}"]
    # unchecked-hash: valid whatever the time stamps of the sources become. Some files in the
    # wheels are no valid Python on purpose; they only stay without byte code.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash"]
        + [str(folder) for folder in folders],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
