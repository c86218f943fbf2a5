"""Max pooling of any type: bytes are compared as they are, with nothing to requantize."""

from __future__ import annotations

from tvm import s_tir, te, tirx

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.max_pool import max_pool
from compile.kernels.common.tiling import even_lanes
from compile.kernels.common.window import Window
from compile.kernels.family import KernelFamily


def create_max_pool(
    data_shape: tuple[int, int, int, int], window: Window, dtype: str
) -> tirx.PrimFunc:
    """The kernel data ``dtype`` [1,H,W,C] -> ``dtype`` [1,OH,OW,C]."""
    data = te.placeholder(data_shape, dtype, name="data")
    return create_kernel(FAMILY.name, [data], max_pool(data, window))


def schedule(sch: s_tir.Schedule, core: CpuCore) -> None:
    """Rows to threads, channels to vectors of the data's own type."""
    block = sch.get_sblock("max_pool")
    itemsize = int(sch.get(block).writes[0].source.dtype.itemsize)
    batch, row, column, channel = sch.get_loops(block)
    lanes = even_lanes(int(sch.get(channel).extent), core.bits // 8 // itemsize)
    outer, lane = sch.split(channel, [None, lanes])
    sch.reorder(batch, row, column, outer, lane)
    sch.parallel(sch.fuse(batch, row))
    sch.vectorize(lane)


FAMILY = KernelFamily("max_pool", "pooling", schedule)
