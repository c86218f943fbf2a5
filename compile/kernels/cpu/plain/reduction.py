"""The schedules of what sums up, or compares, in any other way than the kernels of this project:
one of ours, and MetaSchedule's for a tuning session."""

from __future__ import annotations

from collections.abc import Iterator

from tvm import s_tir, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.plain import metaschedule_space
from compile.kernels.cpu.plain.metaschedule_space import Configuration
from compile.kernels.family import KernelFamily


def serves(sch: s_tir.Schedule) -> bool:
    """Whether the kernel is a chain of blocks that sum up or are elementwise."""
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    axes = [axis.iter_type for block in blocks for axis in sch.get(block).iter_vars]
    return all(axis in (tirx.IterVar.DataPar, tirx.IterVar.CommReduce) for axis in axes)


def result_loops(sch: s_tir.Schedule) -> Iterator[tuple[SBlockRV, list[LoopRV]]]:
    """Each block of a kernel, and its loops over results, which are the outer ones."""
    for block in sch.get_child_blocks(sch.get_sblock("root")):
        kinds = [axis.iter_type for axis in sch.get(block).iter_vars]
        yield block, list(sch.get_loops(block))[: kinds.count(tirx.IterVar.DataPar)]


def schedule(sch: s_tir.Schedule, core: CpuCore, chosen: Configuration | None = None) -> None:
    """Results to threads, each summed up in its own order; or a schedule of MetaSchedule's."""
    if chosen is not None and chosen.metaschedule:
        metaschedule_space.schedule(sch, core, chosen)
        return
    for _, loops in result_loops(sch):
        if loops:
            sch.parallel(sch.fuse(*loops))


FAMILY = KernelFamily(
    "reduction",
    "reductions",
    schedule,
    Configuration,
    metaschedule_space.configurations,
    metaschedule_space.default_configuration,
    serves=serves,
)
