"""Counts calls of libraries' functions under QEMU, many in one process: on the emulated board, or
as an x86 core would execute them (`bench/emulator_ranking.py`)."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compile.support.errors import TargetError
from compile.support.scratch_folder import scratch_folder
from device.emulated.arm64.board_core import BoardCore, root_with_core
from device.emulated.arm64.command import board_command
from device.emulated.arm64.counting_plugin import compile_plugin, counting_plugin
from device.emulated.arm64.run_guest import run_guest
from targets.timing_model import TimingModel

_FOLDER = Path(__file__).parent
_GUEST = _FOLDER / "guest_count_calls.py"
_X86_QEMU = "qemu-x86_64"
_SECONDS_PER_JOB = 120.0
# Threads would count into one another's figures.
_ENV = {"TVM_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class CallJob:
    """One function to call.

    Attributes:
        library: of the function.
        function: its name.
        arguments: in order, results too.
    """

    library: Path
    function: str
    arguments: Sequence[NDArray]


@dataclass(frozen=True)
class CountedCall:
    """What :func:`device.server.count_call.count_call` says of a call, and its blocks.

    Attributes:
        counts: by name.
        blocks: how often each block of machine code was executed, in all calls that it took.
    """

    counts: Mapping[str, int]
    blocks: Mapping[bytes, int]


def count_calls_on_board(
    jobs: Sequence[CallJob], root: Path, core: BoardCore, timing: TimingModel
) -> list[CountedCall]:
    """Each job's call on the emulated board of ``root`` that passes for ``core``.

    Raises:
        TargetError: no QEMU, no board, or no C compiler.
        ArtefactError: a call crashed.
    """
    with scratch_folder("mqnet-calls-") as folder:
        board = root_with_core(root.absolute(), core, folder / "board")
        plugin, blocks = counting_plugin(folder), folder / "blocks.txt"
        lister = compile_plugin(_FOLDER / "list_blocks.c", folder)
        command = board_command(
            board,
            core.model,
            _ENV,
            _GUEST,
            *_files(folder, jobs),
            plugin=plugin,
            plugin_options=timing.plugin_options(),
        )
        command[1:1] = ["-plugin", f"{lister},out={blocks}"]
        run_guest(command, "a candidate", core.model, _SECONDS_PER_JOB * len(jobs))
        return _counted(folder, blocks)


def count_calls_as_x86(jobs: Sequence[CallJob], timing: TimingModel) -> list[CountedCall]:
    """Each job's call under qemu-x86_64, by this Python; what QEMU 7 executes goes up to AVX2.

    Raises:
        TargetError: no QEMU or no C compiler.
        ArtefactError: a call crashed.
    """
    qemu = shutil.which(_X86_QEMU)
    if qemu is None:
        raise TargetError(
            f"{_X86_QEMU} is not on PATH: install qemu-user (apt-get install qemu-user)"
        )
    with scratch_folder("mqnet-calls-") as folder:
        plugin = compile_plugin(_FOLDER / "count_instructions.c", folder, "-DCLASSIFY_X86")
        command = [
            qemu,
            "-cpu",
            "max",
            "-plugin",
            ",".join([str(plugin), *timing.plugin_options()]),
        ]
        env = _ENV | {"TVM_USE_RUNTIME_LIB": "1", "OPENBLAS_NUM_THREADS": "1"}
        env["PYTHONPATH"] = str(_FOLDER.parents[1])
        for variable, value in env.items():
            command += ["-E", f"{variable}={value}"]
        command += [sys.executable, str(_GUEST), *map(str, _files(folder, jobs))]
        run_guest(command, "a candidate", "x86-64", _SECONDS_PER_JOB * len(jobs))
        return _counted(folder, None)


def _files(folder: Path, jobs: Sequence[CallJob]) -> tuple[Path, Path]:
    lines = []
    for number, job in enumerate(jobs):
        arguments = folder / f"arguments{number}.npz"
        np.savez(arguments, *job.arguments)
        lines.append([str(job.library.absolute()), job.function, str(arguments)])
    (folder / "jobs.json").write_text(json.dumps(lines))
    return folder / "jobs.json", folder / "counts.json"


def _counted(folder: Path, blocks: Path | None) -> list[CountedCall]:
    counts = json.loads((folder / "counts.json").read_text())
    listed: list[dict[bytes, int]] = [{} for _ in counts]
    if blocks is not None:
        for found, lines in zip(listed, blocks.read_text().split("\n\n"), strict=False):
            for line in lines.splitlines():
                times, code = line.split()
                # QEMU translates some blocks more than once.
                key = bytes.fromhex(code)
                found[key] = found.get(key, 0) + int(times)
    return [CountedCall(one, other) for one, other in zip(counts, listed, strict=True)]
