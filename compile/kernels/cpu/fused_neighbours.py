"""Schedule steps for kernels that operator fusion has put around a convolution.

One loop over the rows of the feature map then holds the convolution, what comes before it (a block
"normalize") and what follows: elementwise blocks, or those of row statistics. A row goes from one
to the next in the cache.
"""

from __future__ import annotations

from dataclasses import replace

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.tiling import even_lanes
from compile.kernels.cpu.norm import instance_norm, planar_norm, row_statistics
from compile.kernels.family import Fusion

#: What a schedule that calls :func:`place_neighbours` takes into its loop over rows.
STATISTICS_BEHIND = Fusion(consumers=(row_statistics.FAMILY.name, planar_norm.ROWS.name))

#: What one that calls :func:`row_loop` too does.
ALL_NEIGHBOURS = replace(
    STATISTICS_BEHIND,
    producers=(instance_norm.NORMALIZE.name, planar_norm.NORMALIZE.name),
    elementwise=True,
)

#: Elements of an elementwise formula that are computed at a time: at least so many, or two vectors.
_LONG_RUN = 16

_STATISTICS = (*row_statistics.ROW_BLOCKS, *planar_norm.ROW_BLOCKS)


def row_loop(sch: s_tir.Schedule, epilogue: SBlockRV, core: CpuCore) -> LoopRV:
    """The loop over the rows of the convolution's ``epilogue``. Where elementwise blocks follow,
    it is the last one's: the others are inlined into that, and ``epilogue`` is moved under it."""
    *inner, last = [epilogue, *_followers(sch, epilogue)]
    if not inner:
        return sch.get_loops(epilogue)[1]
    for block in inner[1:]:
        sch.compute_inline(block)
    row = sch.get_loops(last)[1]
    sch.compute_at(epilogue, row, preserve_unit_loops=True)
    _vectorize_run(sch, last, core)
    return row


def place_neighbours(sch: s_tir.Schedule, row: LoopRV, core: CpuCore) -> None:
    """Move "normalize" and the row statistics, those that there are, under the loop ``row``."""
    names = _names(sch)
    if "normalize" in names:
        normalize = sch.get_sblock("normalize")
        sch.compute_at(normalize, row, preserve_unit_loops=True)
        instance_norm.vectorize_normalize(sch, normalize, core)
    for statistics in (row_statistics, planar_norm):
        if statistics.ROW_BLOCKS[0] in names:
            for name in statistics.ROW_BLOCKS:
                sch.reverse_compute_at(sch.get_sblock(name), row, preserve_unit_loops=True)
            statistics.schedule_row(sch, core)


def _names(sch: s_tir.Schedule) -> list[str]:
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    return [str(sch.get(block).name_hint) for block in blocks]


def _followers(sch: s_tir.Schedule, epilogue: SBlockRV) -> list[SBlockRV]:
    """The elementwise blocks behind ``epilogue``, which operator fusion puts there in order."""
    names = _names(sch)
    behind = names[names.index(str(sch.get(epilogue).name_hint)) + 1 :]
    return [sch.get_sblock(name) for name in behind if name not in _STATISTICS]


def _vectorize_run(sch: s_tir.Schedule, block: SBlockRV, core: CpuCore) -> None:
    """Columns and channels of a row are one run of memory. Several vectors of it at a time: each
    operation of a long formula waits for the one before it, and its constants serve all."""
    run = sch.fuse(*sch.get_loops(block)[-2:])
    lanes = max(2 * core.lanes, _LONG_RUN)
    _, lane = sch.split(run, [None, even_lanes(int(sch.get(run).extent), lanes)])
    sch.vectorize(lane)
