"""Counts the instructions that a network's frame executes on the emulated board.

Counts of an emulated board are no times: a real core executes several instructions at once, and
waits for memory. Cycles are those of a target file's model (:mod:`targets.timing_model`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compile.codegen.link.elf import read_machine
from compile.support.errors import ArtefactError
from compile.support.frame import Frame
from compile.support.scratch_folder import scratch_folder
from device.emulated.arm64.bionic_names import link_bionic_names
from device.emulated.arm64.board_core import BoardCore, root_with_core
from device.emulated.arm64.command import board_command, check_board
from device.emulated.arm64.counting_plugin import counting_plugin
from device.emulated.arm64.run_guest import run_guest
from targets.timing_model import TimingModel

#: What may be done with a kernel call: nothing; it runs, so that the caches hold what it leaves;
#: it is counted.
SKIP, RUN, COUNT = "s", "r", "c"

_GUEST = Path(__file__).with_name("guest_count.py")
# The emulator executes some 50 million instructions a second, of frames that may have billions.
_TIMEOUT = 3600.0


@dataclass(frozen=True)
class Counts:
    """Executed instructions.

    Attributes:
        instructions: All of them.
        simd: NEON and floating point, without its loads and stores.
        loads_stores: Loads and stores, of vectors too.
        dot_products: sdot, udot, smmla and their kin, which are `simd` as well.
        cycles: By the target's model; None where there is none.
    """

    instructions: int
    simd: int
    loads_stores: int
    dot_products: int
    cycles: float | None = None


def add_counts(counts: Iterable[Counts]) -> Counts:
    """Add up ``counts``, of at least one, all with cycles or none."""
    every = list(counts)
    cycles = [one.cycles for one in every if one.cycles is not None]
    return Counts(
        sum(one.instructions for one in every),
        sum(one.simd for one in every),
        sum(one.loads_stores for one in every),
        sum(one.dot_products for one in every),
        sum(cycles) if cycles else None,
    )


@dataclass(frozen=True)
class FrameCounts:
    """Of one frame, after one that is not counted, in one thread.

    Attributes:
        frame: The whole frame.
        kernels: Name and counts of each kernel call, in order; empty for a .tflite.
    """

    frame: Counts
    kernels: tuple[tuple[str, Counts], ...]


def count_on_board(
    root: Path,
    network: Path,
    frame: Frame,
    core: BoardCore,
    engine: str = "tvm",
    timing: TimingModel | None = None,
    aliases_bionic: bool = False,
    todo: str | None = None,
) -> FrameCounts:
    """Runs a network on ``frame`` on the emulated board and counts its next run.

    Args:
        root: The board's root folder, made by `device/make_board.py`.
        network: A build's library for arm64, of one of its forms, or a LiteRT network (.tflite).
        frame: What it takes.
        core: What the board passes for.
        engine: What runs it: "tvm", "tvm-standalone" or "litert".
        timing: Of the core, to count cycles too; that takes ten times as long.
        aliases_bionic: Give the C library bionic's names, as an Android library demands.
        todo: Of engine "tvm" only: a letter for each kernel call, what is to be done with it (SKIP,
            RUN, COUNT); the others' counts are 0, and so are the frame's.

    Raises:
        TargetError: No QEMU, no board, no C compiler, a plugin that QEMU refuses, an unknown core.
        ArtefactError: The library is missing, another machine's, or crashed or failed in the run.
    """
    root = root.absolute()
    check_board(root)
    if engine != "litert" and (machine := read_machine(network)) != "EM_AARCH64":
        raise ArtefactError(f"{network} is built for {machine}, the emulated board is EM_AARCH64")
    with scratch_folder("mqnet-board-") as work:
        plugin = counting_plugin(work)
        np.savez(work / "frame.npz", *frame)
        # Threads would count into one another's figures; a seed of its own per run would let
        # Python's dictionaries cost differently each time.
        env = {"TVM_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
        if aliases_bionic:
            env["LD_LIBRARY_PATH"] = str(link_bionic_names(root, work / "bionic"))
        files = network.absolute(), work / "frame.npz", work / "counts.json"
        engine, more = (engine, ()) if todo is None else (f"{engine}-calls", (todo,))
        board = root_with_core(root, core, work / "board")
        command = board_command(
            board,
            core.model,
            env,
            _GUEST,
            engine,
            *files,
            *more,
            plugin=plugin,
            plugin_options=() if timing is None else timing.plugin_options(),
        )
        run_guest(command, network.name, core.model, _TIMEOUT)
        counts = json.loads((work / "counts.json").read_text())
    kernels = tuple((name, _counts(figures, timing)) for name, figures in counts["kernels"])
    return FrameCounts(_counts(counts["frame"], timing), kernels)


def _counts(figures: Sequence[int], timing: TimingModel | None) -> Counts:
    instructions, simd, loads_stores, dot_products, millicycles, l1d_misses, l2_misses = figures
    counted = {"millicycles": millicycles, "l1d_misses": l1d_misses, "l2_misses": l2_misses}
    cycles = None if timing is None else timing.cycles_of(counted)
    return Counts(instructions, simd, loads_stores, dot_products, cycles)
