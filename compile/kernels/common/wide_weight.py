"""Weights that are narrower than the numbers they are multiplied in: made wide once a call.

In the innermost loop a weight is read once for each register tile of pixels. To widen int8 takes
three instructions there, beside the eight that multiply.
"""

from __future__ import annotations

from tvm import s_tir, te

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.tiling import MOST_PIXELS, even_lanes

#: That :func:`widen_weight` makes.
WIDE_BLOCK = "wide"
# Tiles that have to read what is stored and loaded again for it: fewer widen it themselves.
_LEAST_TILES = 4
# Numbers that are worth waking the other threads for.
_PARALLEL = 1 << 16
# As many independent vectors at a time.
_VECTORS = 4


def widen_weight(weight: te.Tensor, dtype: str, pixels: int) -> te.Tensor:
    """``weight`` in ``dtype``, which it is multiplied in, of a convolution with a result of
    ``pixels``; itself where it has that type, is multiplied in integers or is read by few."""
    is_wide = dtype != "float32" or weight.dtype == dtype
    if is_wide or pixels < _LEAST_TILES * MOST_PIXELS:
        return weight
    return te.compute(weight.shape, lambda *index: weight(*index).astype(dtype), name=WIDE_BLOCK)


def schedule_wide_weight(sch: s_tir.Schedule, core: CpuCore) -> None:
    """Vectorize what :func:`widen_weight` has made, if it has, before all other loops."""
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    if WIDE_BLOCK not in [str(sch.get(block).name_hint) for block in blocks]:
        return
    run = sch.fuse(*sch.get_loops(sch.get_sblock(WIDE_BLOCK)))
    extent = int(sch.get(run).extent)
    outer, lane = sch.split(run, [None, even_lanes(extent, _VECTORS * core.lanes)])
    if extent >= _PARALLEL:
        sch.parallel(outer)
    sch.vectorize(lane)
