"""What a planned module holds, part by part: for the manifest and the table that a build prints."""

from __future__ import annotations

from math import prod

import tvm
from tvm import relax, tirx
from tvm.relax.expr_functor import PyExprVisitor, visitor

from compile.artefact.manifest import KernelSummary, PartSummary
from compile.graph.parts import MAIN, parts_among
from compile.graph.schedule_attrs import RECORD, schedule_origin
from compile.kernels.common.kernel_function import FAMILY_ATTR, MACS_ATTR


def describe_parts(planned: tvm.IRModule) -> list[PartSummary]:
    """Summaries of the functions: of the parts in the order in which they run, then of ``main``,
    which is all of them in one plan.

    ``planned`` comes from :func:`compile.passes.plan_memory.plan_memory`.
    """
    functions = [var.name_hint for var in planned.get_global_vars()]
    names = [*parts_among(functions), *([MAIN] if MAIN in functions else [])]
    return [_describe(planned, name) for name in names]


def sum_of_parts(parts: list[PartSummary]) -> PartSummary:
    """The network as it is run on two devices: both ``parts`` one after the other, with memory for
    each."""
    sums = {
        field: sum(getattr(part, field) for part in parts)
        for field in PartSummary.__struct_fields__
        if field != "name"
    }
    return PartSummary(name=MAIN, **sums)


def describe_kernels(planned: tvm.IRModule) -> list[KernelSummary]:
    """Summaries of the distinct kernels, by name."""
    summaries = []
    for var, function in planned.functions_items():
        if isinstance(function, tirx.PrimFunc):
            attributes = function.attrs or {}
            family, macs = str(attributes.get(FAMILY_ATTR, "")), int(attributes.get(MACS_ATTR, 0))
            origin = schedule_origin(function)
            summaries.append(KernelSummary(var.name_hint, family, origin, macs))
    return sorted(summaries, key=lambda kernel: kernel.name)


def _describe(planned: tvm.IRModule, name: str) -> PartSummary:
    counter = _Counter(planned)
    counter.visit_expr(planned[name])
    kernels = {var.name_hint: planned[var] for var in counter.calls}
    tuned = sum(schedule_origin(kernel) == RECORD for kernel in kernels.values())
    return PartSummary(
        name=name,
        ops=len(counter.calls),
        macs=sum(int((planned[var].attrs or {}).get(MACS_ATTR, 0)) for var in counter.calls),
        weight_bytes=counter.constant_bytes,
        activation_bytes=counter.allocated_bytes,
        kernels_with_record=tuned,
        kernels_without_record=len(kernels) - tuned,
    )


@visitor
class _Counter(PyExprVisitor):
    def __init__(self, planned: tvm.IRModule) -> None:
        super().__init__()
        self._planned = planned
        self.calls: list[tvm.ir.GlobalVar] = []
        self.constant_bytes = 0
        self.allocated_bytes = 0

    def visit_call_(self, call: relax.Call) -> None:
        if isinstance(call.op, tvm.ir.GlobalVar):
            if isinstance(self._planned[call.op], tirx.PrimFunc):
                self.calls.append(call.op)
                self.constant_bytes += sum(_constant_bytes(arg) for arg in call.args)
        elif call.op.name == "relax.memory.alloc_storage":
            self.allocated_bytes += prod(int(extent) for extent in call.args[0].values)


def _constant_bytes(expr: relax.Expr) -> int:
    return expr.value.numpy().nbytes if isinstance(expr, tvm.ir.GenericConst) else 0
