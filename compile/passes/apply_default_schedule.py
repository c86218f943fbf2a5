"""Cut the loops of every kernel that has no schedule yet by its family's default configuration.

A kernel of no known family is elementwise (operator fusion makes those), or sums up as no kernel of
ours does: that has a task for each result, and no vectors. Anything else is an error.
"""

from __future__ import annotations

from collections.abc import Callable

import tvm
from tvm import s_tir, tirx

from compile.graph.schedule_attrs import BUILT_IN, is_scheduled, mark_scheduled
from compile.kernels.common.core_model import CoreModel
from compile.kernels.common.kernel_function import FAMILY_ATTR
from compile.kernels.families import families_of
from compile.support.errors import GraphError

#: Called with the name of a kernel and the function with its final loops.
KernelObserver = Callable[[str, tirx.PrimFunc], object]


def apply_default_schedule(
    core: CoreModel, observe: KernelObserver = lambda name, function: None
) -> tvm.transform.Pass:
    """Return the pass for ``core``. ``observe`` is called for each kernel as soon as its loops are
    final.

    Raises:
        GraphError: (when run) a kernel that no family of the core's device schedules.
    """
    families = families_of(core.device)

    @tvm.transform.module_pass(opt_level=0, name="ApplyDefaultSchedule")
    def transform(mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        schedule = s_tir.Schedule(mod, enable_check=False)
        names = []
        for variable, function in mod.functions_items():
            if not isinstance(function, tirx.PrimFunc):
                continue
            name = variable.name_hint
            if is_scheduled(function):
                observe(name, function)
                continue
            family = families.of(function)
            if family is None:
                unknown = (function.attrs or {}).get(FAMILY_ATTR)
                raise GraphError(
                    f"kernel {name} (family {unknown}) has no schedule for a {core.device}: lower "
                    "its op in compile/passes or declare its family in compile/kernels"
                )
            names.append(name)
            if family.schedule is not None:
                schedule.work_on(name)
                family.schedule(schedule, core)
            observe(name, mark_scheduled(schedule.mod[name], BUILT_IN))
        result = schedule.mod
        for name in names:
            result.update_func(result.get_global_var(name), mark_scheduled(result[name], BUILT_IN))
        return result

    return transform
