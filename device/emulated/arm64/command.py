"""The command line that runs a Python file on the emulated board."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from compile.support.errors import TargetError
from device.emulated.arm64.make_root import is_current

QEMU = "qemu-aarch64"
_PYTHON = Path("usr/bin/python3.11")
_BOARD_ENV = {
    "TVM_USE_RUNTIME_LIB": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def find_qemu() -> str:
    """QEMU's path.

    Raises:
        TargetError: It is not installed.
    """
    qemu = shutil.which(QEMU)
    if qemu is None:
        raise TargetError(f"{QEMU} is not on PATH: install qemu-user (apt-get install qemu-user)")
    return qemu


def check_board(root: Path) -> str:
    """QEMU's path, where it and the board of ``root`` are there.

    Raises:
        TargetError: no QEMU, or no board of the current pins.
    """
    qemu = find_qemu()
    if not is_current(root):
        raise TargetError(
            f"{root} is no current emulated board: run python device/make_board.py {root}"
        )
    return qemu


def board_command(
    root: Path,
    cpu: str,
    env: Mapping[str, str],
    script: Path,
    *arguments: object,
    plugin: Path | None = None,
    plugin_options: Sequence[str] = (),
) -> list[str]:
    """Program and arguments; to be run in an empty environment, so that nothing of this process's
    own reaches the board: not its PYTHONPATH, and not a TVM variable that is meant for this
    machine.

    Args:
        root: The board's root folder, absolute.
        cpu: QEMU's model of the core.
        env: Variables of the board's process.
        script: The Python file.
        arguments: Its arguments.
        plugin: A shared library that QEMU loads into itself.
        plugin_options: What it is told, each as "name=value".

    Raises:
        TargetError: As `check_board`.
    """
    command = [check_board(root), "-cpu", cpu, "-L", str(root)]
    if plugin is not None:
        command += ["-plugin", ",".join([str(plugin), *plugin_options])]
    for name, value in (_BOARD_ENV | dict(env)).items():
        command += ["-E", f"{name}={value}"]
    return [*command, str(root / _PYTHON), str(script), *map(str, arguments)]
