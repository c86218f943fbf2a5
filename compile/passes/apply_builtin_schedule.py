"""Give every kernel that has no schedule yet the built-in one of its family.

A kernel of no known family is elementwise (operator fusion makes those) or an error: TVM's naive
loops are never what a user gets.
"""

from __future__ import annotations

import tvm
from tvm import s_tir, tirx

from compile.graph.schedule_attrs import BUILT_IN, is_scheduled, mark_scheduled
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import FAMILY_ATTR
from compile.kernels.cpu.norm import instance_norm, planar_norm, row_statistics
from compile.kernels.cpu.plain import elementwise, mean, move
from compile.kernels.design_spaces import SPACES
from compile.kernels.gpu.gpu_core import GpuCore
from compile.kernels.gpu.gpu_spaces import GPU_SCHEDULES
from compile.support.errors import GraphError

_SCHEDULES = {family: space.schedule for family, space in SPACES.items()} | {
    mean.FAMILY: mean.schedule,
    row_statistics.FAMILY: row_statistics.schedule,
    instance_norm.FAMILY: instance_norm.schedule,
    instance_norm.NORMALIZE: instance_norm.schedule_normalize,
    planar_norm.ROWS: planar_norm.schedule_rows,
    planar_norm.STATISTICS: planar_norm.schedule_statistics,
    planar_norm.NORMALIZE: elementwise.schedule,
}


def apply_builtin_schedule(core: CpuCore | GpuCore) -> tvm.transform.Pass:
    """The pass for cores with the vector ``core``, or for a GPU.

    Raises:
        GraphError: (when run) a kernel that no built-in schedule serves.
    """

    @tvm.transform.module_pass(opt_level=0, name="ApplyBuiltinSchedule")
    def transform(mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        schedule = s_tir.Schedule(mod, enable_check=False)
        names = []
        for name, function in mod.functions_items():
            if not isinstance(function, tirx.PrimFunc) or is_scheduled(function):
                continue
            names.append(name.name_hint)
            if (function.attrs or {}).get(FAMILY_ATTR) != move.FAMILY:
                schedule.work_on(name.name_hint)
                _family_schedule(schedule, name.name_hint, function, core)(schedule, core)
        result = schedule.mod
        for name in names:
            result.update_func(result.get_global_var(name), mark_scheduled(result[name], BUILT_IN))
        return result

    return transform


def _family_schedule(
    schedule: s_tir.Schedule, name: str, function: tirx.PrimFunc, core: CpuCore | GpuCore
):
    schedules = GPU_SCHEDULES if isinstance(core, GpuCore) else _SCHEDULES
    family = (function.attrs or {}).get(FAMILY_ATTR)
    if family in schedules:
        return schedules[family]
    if elementwise.serves(schedule):
        return schedules[elementwise.FAMILY]
    raise GraphError(
        f"kernel {name} (family {family}) has no built-in schedule: lower its op in "
        "compile/passes or give its family a schedule in compile/kernels"
    )
