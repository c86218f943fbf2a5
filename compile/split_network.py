"""The network on two devices: backbone and head compiled each for its own, with a library of its
own. What crosses from one to the other is the boundary, which :mod:`device.runtime.run_artefact`
copies.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import tvm
from torch.export import ExportedProgram
from tvm import relax

from compile.artefact.describe_calls import CallSummary
from compile.artefact.describe_parts import PartSummary
from compile.graph.constants import definitions_of
from compile.graph.parts import BACKBONE, COPY, HEAD, INPUT
from compile.pipeline import (
    ModuleObserver,
    PhaseReporter,
    PipelineOptions,
    cut_network,
    plan_part,
)
from compile.records.log_folder import records_name
from compile.support.errors import GraphError, MqnetError
from targets.load_target import TargetSpec, load_target


@dataclass(frozen=True)
class SplitNetwork:
    """A network that is compiled for two devices.

    Attributes:
        main: of the module behind the cut: what the network takes and gives.
        parts: the planned module of each part.
        options: how each part is compiled.
        head_arguments: of the head, in order: :data:`compile.graph.parts.INPUT`, or the number of
        the
            backbone's result.
    """

    main: relax.Function
    parts: dict[str, tvm.IRModule]
    options: dict[str, PipelineOptions]
    head_arguments: list[str | int]


def split_options(
    options: PipelineOptions, on_processor: str, logs: Path
) -> dict[str, PipelineOptions]:
    """How each part is compiled where the part ``on_processor`` is for the processor beside the
    GPU, with the records of its target in ``logs``.

    Raises:
        MqnetError: the target is no GPU, or the scheme has no backbone to be cut off.
    """
    spec = options.spec
    if spec.gpu is None:
        raise MqnetError(
            f"target {spec.name} has one device: to split the network over two, name a GPU, such "
            "as linux-mali"
        )
    if not options.split:
        raise MqnetError(
            "this scheme has no int8 backbone to be split from the head: take another, such as "
            "mixed"
        )
    beside = processor_beside(spec)
    records = logs / records_name(beside)
    there = replace(options, spec=beside, threads=beside.threads, records=records)
    return {name: there if name == on_processor else options for name in (BACKBONE, HEAD)}


def processor_beside(spec: TargetSpec) -> TargetSpec:
    """The target of the processor that starts the kernels of ``spec``'s GPU."""
    return load_target(spec.gpu.processor)


def plan_split(
    program: ExportedProgram,
    options: dict[str, PipelineOptions],
    report: PhaseReporter = lambda name: nullcontext(),
    observe: ModuleObserver = lambda number, name, mod: None,
) -> SplitNetwork:
    """Both parts up to their memory plans, each with its own ``options``.

    Raises:
        GraphError: the program holds something that the compiler cannot take, or it has no
            boundary to be split at.
    """
    cut = cut_network(program, options[BACKBONE], report, observe)
    if not any(name.name_hint == HEAD for name in cut.get_global_vars()):
        raise GraphError("the network has no boundary between precisions to be split at")
    parts = {name: plan_part(cut, name, options[name], report, observe) for name in options}
    return SplitNetwork(cut["main"], parts, options, _head_arguments(cut["main"]))


def _head_arguments(main: relax.Function) -> list[str | int]:
    definitions = definitions_of(main)
    (call,) = (
        value
        for value in definitions.values()
        if isinstance(value, relax.Call)
        and isinstance(value.op, tvm.ir.GlobalVar)
        and value.op.name_hint == HEAD
    )
    return [_origin(argument, definitions, list(main.params)) for argument in call.args]


def _origin(argument: relax.Expr, definitions: dict, params: list[relax.Var]) -> str | int:
    if argument in params:
        return INPUT
    value = definitions[argument]
    if isinstance(value, relax.TupleGetItem):
        return int(value.index)
    return _origin(value, definitions, params) if isinstance(value, relax.Var) else 0


def whole_part(parts: list[PartSummary]) -> PartSummary:
    """The network as it is run: both parts, one after the other, with memory for each."""
    sums = {
        field: sum(getattr(part, field) for part in parts)
        for field in PartSummary.__dataclass_fields__
        if field != "name"
    }
    return PartSummary(name="main", **sums)


def whole_calls(
    backbone: list[CallSummary], head: list[CallSummary], copies: int
) -> list[CallSummary]:
    """The calls of a frame with the ``copies`` between the devices."""
    return [*backbone, *[CallSummary(COPY, ())] * copies, *head]
