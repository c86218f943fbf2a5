"""The schedule of :mod:`compile.kernels.cpu.plain.reduction` on a GPU."""

from __future__ import annotations

from tvm import s_tir

from compile.kernels.cpu.plain import reduction
from compile.kernels.family import KernelFamily
from compile.kernels.gpu.gpu_core import GpuCore, bind_flat


def schedule(sch: s_tir.Schedule, core: GpuCore) -> None:
    """A result to each work item, block by block."""
    for block, loops in reduction.result_loops(sch):
        bind_flat(sch, loops or [sch.add_unit_loop(block)], core)


FAMILY = KernelFamily(
    reduction.FAMILY.name, reduction.FAMILY.kind, schedule, serves=reduction.serves
)
