"""Split a network at what depends on the whole of a picture: into functions that are each computed
of all tiles before the next one begins.

``main(picture)`` becomes ``stage_0(picture) ... stage_n(picture, tensors, values)``
(:class:`compile.graph.plan_stages.StagePlan`). A mean over all pixels is an argument of the stages
that read it, an InstanceNorm a scale and a shift for each channel, which are arguments, too. Who
runs the stages adds up what they make.
"""

from __future__ import annotations

import tvm
from tvm import relax

from compile.graph.constants import variables_of
from compile.graph.parts import MAIN, stage_name
from compile.graph.plan_stages import Stage, StagePlan
from compile.graph.rewrite_function import substitute
from compile.graph.shapes import tensor_shape


@tvm.transform.module_pass(opt_level=0, name="SplitStages")
class SplitStages:
    """Replace ``main``, which calls no other function, by its stages.

    Raises:
        GraphError: the network cannot be computed in tiles; the text says why.
    """

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        plan = StagePlan(mod[MAIN])
        builder = relax.BlockBuilder()
        for number, stage in enumerate(plan.stages):
            _emit(builder, stage_name(number), plan, stage)
        return builder.get()


def _emit(builder: relax.BlockBuilder, name: str, plan: StagePlan, stage: Stage) -> None:
    values: dict[relax.Var, relax.Expr] = {}
    params: list[relax.Var] = []
    affine: dict[relax.Var, tuple[relax.Var, relax.Var]] = {}
    for var in stage.inputs:
        values[var] = relax.Var(plan.name(var), var.ty)
        params.append(values[var])
    for var in stage.values:
        if plan.is_norm(var):
            kind = relax.TensorType((1, 1, 1, tensor_shape(var)[3]), "float32")
            own = plan.name(var)
            affine[var] = relax.Var(f"{own}_scale", kind), relax.Var(f"{own}_shift", kind)
            params.extend(affine[var])
        else:
            values[var] = relax.Var(plan.name(var), var.ty)
            params.append(values[var])
    needed = _needed(plan, stage, set(values))
    with builder.function(name, params):
        with builder.dataflow():
            for var, value in plan.definitions.items():
                if var not in needed:
                    continue
                if var in affine:
                    scale, shift = affine[var]
                    data = substitute(value.args[0], values)
                    value = relax.op.add(builder.emit(relax.op.multiply(data, scale)), shift)
                    values[var] = builder.emit(value)
                else:
                    values[var] = builder.emit(substitute(value, values))
            results = [values[var] for var in stage.results]
            output = results[0] if len(results) == 1 else relax.Tuple(results)
            output = builder.emit_output(output)
        builder.emit_func_output(output)


def _needed(plan: StagePlan, stage: Stage, known: set[relax.Var]) -> set[relax.Var]:
    """Every variable that the stage computes from those ``known``."""
    reached: set[relax.Var] = set()
    pending = list(stage.results)
    while pending:
        var = pending.pop()
        if var not in reached and var not in known:
            reached.add(var)
            pending.extend(variables_of(plan.definitions[var]))
    return reached
