"""Schedule steps that every register-tiled kernel ends with."""

from __future__ import annotations

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.tiling import even_lanes


def keep_in_registers(sch: s_tir.Schedule, loops: list[LoopRV], lane: LoopRV) -> None:
    """Unroll ``loops`` and vectorize ``lane``: every value of the tile becomes a register."""
    for loop in loops:
        sch.unroll(loop)
    sch.vectorize(lane)


def accumulate_in_registers(
    sch: s_tir.Schedule,
    block: SBlockRV,
    tile: list[LoopRV],
    channel: LoopRV,
    reduction: list[LoopRV],
    lanes: int,
) -> None:
    """Put the ``reduction`` loops outside of the ``tile`` loops and the channel vectors, so that
    the accumulators of ``block`` are variables that LLVM keeps in registers.

    They stay in the scope "global": the buffers of any other are allocated at run time, which
    LLVM cannot see through.
    """
    vector, lane = sch.split(channel, [None, lanes])
    sch.reorder(*reduction, *tile, vector, lane)
    keep_in_registers(sch, [*tile, vector], lane)
    sch.decompose_reduction(block, reduction[0])


def finish_in_registers(sch: s_tir.Schedule, epilogue: SBlockRV, lanes: int) -> None:
    """Unroll the tile of the block "epilogue" and vectorize its channels, of which the last vector
    may lack some."""
    *_, pixel, channel = sch.get_loops(epilogue)
    extent = int(sch.get(channel).extent)
    # A single vector that is not full stays one: it costs as much as a full one.
    lanes = extent if extent <= lanes else even_lanes(extent, max(lanes, 16))
    vector, lane = sch.split(channel, [None, lanes])
    keep_in_registers(sch, [pixel, vector], lane)
