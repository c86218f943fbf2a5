"""Runs a built arm64 library on this machine, under qemu-user and the board's root folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from compile.codegen.link.elf import read_machine
from compile.support.errors import ArtefactError
from compile.support.scratch_folder import scratch_folder
from device.emulated.arm64.bionic_names import link_bionic_names
from device.emulated.arm64.command import board_command, check_board
from device.emulated.arm64.run_guest import run_guest

_GUEST = Path(__file__).with_name("guest.py")

#: Of a function: by position, or by the names of its parameters.
Inputs: TypeAlias = Mapping[str, np.ndarray] | Sequence[np.ndarray]


def run_on_board(
    root: Path,
    library: Path,
    function: str,
    inputs: Inputs,
    cpu: str = "max",
    aliases_bionic: bool = False,
    threads: int = 1,
    timeout: float = 600.0,
) -> list[np.ndarray]:
    """Calls one function of a Relax VM library in the emulator; see :func:`run_all_on_board`.

    Returns:
        The tensors of the result in order, tuples flattened.
    """
    calls = [(function, inputs)]
    (found,) = run_all_on_board(root, library, calls, cpu, aliases_bionic, threads, timeout)
    return found


def run_all_on_board(
    root: Path,
    library: Path,
    calls: Sequence[tuple[str, Inputs]],
    cpu: str = "max",
    aliases_bionic: bool = False,
    threads: int = 1,
    timeout: float = 600.0,
) -> list[list[np.ndarray]]:
    """Calls functions of a Relax VM library in the emulator, one after the other in one process:
    it takes seconds to start.

    Times taken here say nothing about a real board.

    Args:
        root: The board's root folder, made by `device/make_board.py`.
        library: A shared library for arm64.
        calls: Each a function's name in the library, as `main`, and its inputs.
        cpu: QEMU's model of the core, as `cortex-a76`; `max` has every feature QEMU knows.
        aliases_bionic: Give the C library bionic's names, as an Android library demands.
        threads: Threads of TVM's pool.
        timeout: Seconds until the run is given up.

    Returns:
        By call, the tensors of the result in order, tuples flattened.

    Raises:
        TargetError: No QEMU, no board, an unknown core, or no answer in time.
        ArtefactError: The library is missing, another machine's, or crashed or failed in the run.
    """
    root = root.absolute()
    check_board(root)
    if (machine := read_machine(library)) != "EM_AARCH64":
        raise ArtefactError(f"{library} is built for {machine}, the emulated board is EM_AARCH64")
    with scratch_folder("mqnet-board-") as work:
        for number, (_, inputs) in enumerate(calls):
            if isinstance(inputs, Mapping):
                # A function's argument may have any name but that of `savez`'s own.
                np.savez(work / f"{number}.npz", **inputs)  # type: ignore[arg-type]
            else:
                np.savez(work / f"{number}.npz", *inputs)
        env = {"TVM_NUM_THREADS": str(threads)}
        if aliases_bionic:
            env["LD_LIBRARY_PATH"] = str(link_bionic_names(root, work / "bionic"))
        functions = [function for function, _ in calls]
        command = board_command(root, cpu, env, _GUEST, library.absolute(), work, *functions)
        run_guest(command, library.name, cpu, timeout)
        return [_read(work / f"{number}-out.npz") for number in range(len(calls))]


def _read(file: Path) -> list[np.ndarray]:
    with np.load(file) as outputs:
        return [outputs[key] for key in outputs.files]
