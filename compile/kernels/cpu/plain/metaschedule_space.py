"""MetaSchedule's own space of a kernel: what its rules for processors make of any chain of blocks.

A schedule of it is known by the number that its decisions are drawn by: the same number gives the
same schedule of the same kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import tvm
from tvm import s_tir

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.tensor_intrinsics import tensor_intrinsics_of

_DRAWS = 48
_LEVELS = "SSRSRS"
_MOST_UNROLLED = (0, 16, 64)


@dataclass(frozen=True)
class Configuration:
    """By which number decisions are drawn; 0 is the default schedule, which is none of
    MetaSchedule's."""

    metaschedule: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """Those of a few dozen draws that differ."""
    found = {"": 0}
    for number in range(1, _DRAWS + 1):
        drawn = _drawn(sch, core, number)
        if drawn is not None:
            found.setdefault(str(drawn.trace), number)
    return [Configuration(number) for number in found.values()]


def default_configuration(_sch: s_tir.Schedule, _core: CpuCore) -> Configuration:
    """None of MetaSchedule's."""
    return Configuration(0)


def schedule(sch: s_tir.Schedule, core: CpuCore, chosen: Configuration) -> None:
    """Cut the loops of the module's only kernel by a draw.

    Raises:
        ScheduleError: the draw gives no schedule that can be compiled.
    """
    drawn = _drawn(sch, core, chosen.metaschedule)
    if drawn is None:
        raise s_tir.ScheduleError(f"draw {chosen.metaschedule} gives no schedule")
    drawn.trace.apply_to_schedule(sch, remove_postproc=False)


def _drawn(sch: s_tir.Schedule, core: CpuCore, number: int) -> s_tir.Schedule | None:
    # Only a tuner needs it, and it takes a second to import.
    from tvm.s_tir import meta_schedule

    rule, after = meta_schedule.schedule_rule, meta_schedule.postproc
    rules = [
        rule.InlineConstantScalars(),
        rule.AutoInline(
            into_producer=False,
            into_consumer=True,
            inline_const_tensor=True,
            disallow_if_then_else=True,
            require_injective=True,
            require_ordered=True,
            disallow_op=["tirx.exp"],
        ),
        # Without AddRFactor, which sums up in another order.
        rule.MultiLevelTiling(
            structure=_LEVELS,
            max_innermost_factor=64,
            reuse_write=rule.ReuseType(req="may", levels=[1, 2], scope="global"),
        ),
        rule.ParallelizeVectorizeUnroll(
            max_jobs_per_core=16,
            max_vectorize_extent=core.lanes * 4,
            unroll_max_steps=list(_MOST_UNROLLED),
            unroll_explicit=True,
        ),
        rule.RandomComputeLocation(),
    ]
    last = [
        after.DisallowDynamicLoop(),
        after.RewriteParallelVectorizeUnroll(),
        after.RewriteReductionBlock(),
    ]
    space = meta_schedule.space_generator.PostOrderApply(
        sch_rules=rules, postprocs=last, mutator_probs={}
    )
    with tensor_intrinsics_of():
        context = meta_schedule.TuneContext(
            mod=tvm.IRModule({"main": sch.mod["main"]}),
            target=tvm.target.Target({"kind": "llvm", "num-cores": core.threads}),
            space_generator=space,
            rand_state=number,
            num_threads=1,
        )
    sketches = context.generate_design_space()
    sketch = sketches[number % len(sketches)]
    return sketch if all(one.apply(sketch) for one in last) else None
