"""The stages of a network that computes pictures of any size tile by tile: split, plan, emit, link,
describe."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import tvm

from compile.artefact.stage_facts import (
    FACTS,
    FORMAT,
    LIBRARY,
    StageFacts,
    Stages,
    StageTensor,
    WholeValue,
)
from compile.build_request import BuildRequest
from compile.codegen.link.link import ExportLinker, LinkOptions
from compile.graph.constants import constant_value
from compile.graph.parts import MAIN, stage_name
from compile.graph.plan_stages import Stage, StagePlan
from compile.graph.shapes import tensor_shape
from compile.passes.inline_parts import InlineParts
from compile.passes.split_stages import SplitStages
from compile.pipeline import (
    ModuleObserver,
    PhaseReporter,
    PipelineOptions,
    emit_code,
    kernel_compiler,
    plan_part,
)
from compile.support.atomic import write_atomically
from compile.support.build_cache import BuildCache
from compile.support.errors import GraphError, MqnetError
from compile.support.json_record import record_json
from targets.spec import TargetSpec


def check_stages(request: BuildRequest, spec: TargetSpec) -> None:
    """Raise where ``request`` asks for tiles that cannot be had.

    Raises:
        MqnetError: the text says why.
    """
    if request.tiles and spec.gpu is not None:
        raise MqnetError(
            f"target {spec.name} is a GPU, and tiles are computed by a processor: leave --tiles out"
        )
    network = request.network
    if request.tiles and not (network.takes_photographs and network.makes_pictures):
        raise MqnetError(
            f"network {network.title} does not make a picture of a photograph: leave --tiles out"
        )


def write_stages(
    partitioned: tvm.IRModule,
    options: PipelineOptions,
    link: LinkOptions,
    work: Path,
    cache: BuildCache,
    report: PhaseReporter = lambda name: nullcontext(),
    observe: ModuleObserver = lambda number, name, mod: None,
) -> tuple[str, ...]:
    """Write what computes pictures of any size into the folder ``work``: the names of its files.

    Args:
        partitioned: from :func:`compile.pipeline.partition_network`.
        options: how it is compiled.
        link: how it is linked.

    Raises:
        GraphError: the network cannot be computed in tiles, or not in such small ones.
    """
    whole = tvm.transform.Sequential([InlineParts()])(partitioned)
    facts = describe_stages(StagePlan(whole[MAIN]))
    with report("stages"):
        split = tvm.transform.Sequential([SplitStages()])(whole)
        observe(0, "stages", split)
        with kernel_compiler(options, cache) as compiler:
            planned = plan_part(split, MAIN, options, compiler=compiler)
            code = emit_code(planned, options, cache, compiler)
        code.export(work / LIBRARY, ExportLinker(options.spec, link))
    write_atomically(work / FACTS, record_json(facts, FORMAT).encode())
    return LIBRARY, FACTS


def describe_stages(plan: StagePlan) -> Stages:
    """Describe the stages of ``plan``.

    Raises:
        GraphError: tiles are too small for what is computed around them.
    """
    halo = max(stage.halo for stage in plan.stages)
    least = 2 * halo + plan.alignment
    if min(plan.size) < least:
        raise GraphError(
            f"tiles of {plan.size[0]}x{plan.size[1]} are too small: {halo} pixels around each are "
            f"computed for the sake of what is in it; give a --size of at least {least}x{least}"
        )
    tensors = {
        plan.name(var): StageTensor(tensor_shape(var)[3], plan.stride(var), str(var.ty.dtype))
        for stage in plan.stages
        for var in (*stage.inputs, *stage.results)
    }
    values = {plan.name(var): _value(plan, var) for stage in plan.stages for var in stage.values}
    stages = tuple(_stage(plan, number, stage) for number, stage in enumerate(plan.stages))
    return Stages(
        (int(plan.size[0]), int(plan.size[1])),
        plan.alignment,
        plan.name(plan.picture),
        plan.name(plan.output),
        tensors,
        values,
        stages,
    )


def _stage(plan: StagePlan, number: int, stage: Stage) -> StageFacts:
    names = (tuple(map(plan.name, of)) for of in (stage.inputs, stage.values, stage.results))
    return StageFacts(stage_name(number), stage.halo, *names)


def _value(plan: StagePlan, var: tvm.relax.Var) -> WholeValue:
    source, shape = plan.name(plan.source(var)), tensor_shape(var)
    if (mean := plan.integer_means.get(var)) is not None:
        given, made = mean.inputs[0].quantization, mean.output
        return WholeValue(
            "integer mean",
            source,
            shape,
            float(given.scale),
            given.zero_point,
            float(made.scale),
            made.zero_point,
            mean.low,
            mean.high,
        )
    if not plan.is_norm(var):
        return WholeValue("mean", source, shape, dtype=str(var.ty.dtype))
    call = plan.definitions[var]
    gamma, beta = (constant_value(one, plan.definitions) for one in call.args[1:])
    assert gamma is not None and beta is not None  # Others have no reach.
    numbers = (tuple(map(float, np.ravel(one))) for one in (gamma, beta))
    return WholeValue(
        "norm",
        source,
        (1, 1, 1, shape[3]),
        gamma=next(numbers),
        beta=next(numbers),
        epsilon=float(call.attrs.epsilon),
    )
