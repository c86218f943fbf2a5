"""Runs a built arm64 library on this machine, under qemu-user and the board's root folder."""

from __future__ import annotations

import logging
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from compile.errors import ArtefactError, TargetError
from targets.elf import read_machine
from targets.emulator.command import QEMU, board_command, check_board

_log = logging.getLogger(__name__)

_GUEST = Path(__file__).with_name("guest.py")
_TVM_LIBRARIES = Path("usr/lib/python3/dist-packages")
_C_LIBRARIES = Path("usr/lib/aarch64-linux-gnu"), Path("lib/aarch64-linux-gnu")
# What bionic calls the libraries, and the board's files that play them.
_BIONIC_NAMES = {"libc.so": "libc.so.6", "libm.so": "libm.so.6", "libdl.so": "libdl.so.2"}


def run_on_board(
    root: Path,
    library: Path,
    function: str,
    inputs: Mapping[str, np.ndarray] | Sequence[np.ndarray],
    cpu: str = "max",
    aliases_bionic: bool = False,
    threads: int = 1,
    timeout: float = 600.0,
) -> list[np.ndarray]:
    """Calls one function of a Relax VM library in the emulator.

    Times taken here say nothing about a real board.

    Args:
        root: The board's root folder, made by `make_root.py`.
        library: A shared library for arm64.
        function: The function's name in the library, as `main`.
        inputs: By position, or by the names of the function's parameters.
        cpu: QEMU's model of the core, as `cortex-a76`; `max` has every feature QEMU knows.
        aliases_bionic: Give the C library bionic's names, as an Android library demands.
        threads: Threads of TVM's pool.
        timeout: Seconds until the run is given up.

    Returns:
        The tensors of the result in order, tuples flattened.

    Raises:
        TargetError: No QEMU, no board, an unknown core, or no answer in time.
        ArtefactError: The library is missing, another machine's, or crashed or failed in the run.
    """
    root = root.absolute()
    check_board(root)
    if (machine := read_machine(library)) != "EM_AARCH64":
        raise ArtefactError(f"{library} is built for {machine}, the emulated board is EM_AARCH64")
    with tempfile.TemporaryDirectory(prefix="mqnet-board-") as work_name:
        work = Path(work_name)
        if isinstance(inputs, Mapping):
            np.savez(work / "inputs.npz", **inputs)
        else:
            np.savez(work / "inputs.npz", *inputs)
        env = {"TVM_NUM_THREADS": str(threads)}
        if aliases_bionic:
            env["LD_LIBRARY_PATH"] = str(_link_bionic_names(root, work / "bionic"))
        files = work / "inputs.npz", work / "outputs.npz"
        command = board_command(root, cpu, env, _GUEST, library.absolute(), function, *files)
        _run_guest(command, library, cpu, timeout)
        with np.load(work / "outputs.npz") as outputs:
            return [outputs[key] for key in outputs.files]


def _run_guest(command: list[str], library: Path, cpu: str, timeout: float) -> None:
    try:
        result = subprocess.run(
            command,
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise TargetError(
            f"{library.name} gave no answer on the emulated {cpu} in {timeout:g} s"
        ) from error
    _log.debug("%s", result.stderr)
    if result.returncode == 0:
        return
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    if result.returncode < 0:
        name = signal.Signals(-result.returncode).name
        reason = " (an instruction that this core does not have)" if name == "SIGILL" else ""
        raise ArtefactError(f"{library.name} ended with {name}{reason} on the emulated {cpu}")
    if any("unable to find CPU model" in line for line in lines):
        raise TargetError(f"QEMU knows no core '{cpu}'; {QEMU} -cpu help lists those it knows")
    raise ArtefactError(
        f"{library.name} failed on the emulated {cpu}: "
        f"{lines[-1] if lines else f'exit code {result.returncode}'}"
    )


def _link_bionic_names(root: Path, folder: Path) -> Path:
    """A folder of links that gives the board's libraries the names that they have on Android."""
    folder.mkdir()
    for bionic_name, name in _BIONIC_NAMES.items():
        places = [root / place / name for place in _C_LIBRARIES]
        real = next((path for path in places if path.exists()), None)
        if real is None:
            raise TargetError(f"the emulated board {root} lacks {name}: make it again")
        (folder / bionic_name).symlink_to(real)
    for package in ("tvm_ffi", "tvm"):
        for library in (root / _TVM_LIBRARIES / package / "lib").glob("libtvm_*.so"):
            (folder / library.name).symlink_to(library)
    return folder
