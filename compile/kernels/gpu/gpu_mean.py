"""The schedule of :mod:`compile.kernels.cpu.plain.mean` on a GPU."""

from __future__ import annotations

from tvm import s_tir

from compile.kernels.common.register_loops import accumulate_in_registers
from compile.kernels.cpu.plain import mean
from compile.kernels.family import KernelFamily
from compile.kernels.gpu.gpu_core import GpuCore, bind_flat, vector_length


def schedule(sch: s_tir.Schedule, core: GpuCore) -> None:
    """A row and a vector of its channels to a work item; then, in a second launch, the sums of the
    rows, a vector to a work item."""
    row_sum, total, epilogue = (sch.get_sblock(n) for n in ("row_sum", "total", "epilogue"))
    row, channel, column = sch.get_loops(row_sum)
    lanes = vector_length(int(sch.get(channel).extent), core.lanes)
    outer, channel = sch.split(channel, [None, lanes])
    sch.reorder(row, outer, channel, column)
    bind_flat(sch, [row, outer], core)
    accumulate_in_registers(sch, row_sum, [], channel, [column], lanes)

    *ones, channel = sch.get_loops(epilogue)
    outer, lane = sch.split(channel, [None, lanes])
    item = bind_flat(sch, [*ones, outer], core)
    sch.compute_at(total, item, preserve_unit_loops=True)
    sch.vectorize(lane)
    sch.set_scope(total, 0, "local")
    *_, channel, rows = sch.get_loops(total)
    accumulate_in_registers(sch, total, [], channel, [rows], lanes)


FAMILY = KernelFamily(mean.FAMILY.name, mean.FAMILY.kind, schedule)
