"""The parts of a network, each for its device: plan, emit, link.

Each step is a function of explicit values that returns a value: it can be called by itself, and its
result can be kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import tvm
from torch.export import ExportedProgram

from compile.artefact.describe_interface import Interface, describe_interface
from compile.artefact.explain_floats import list_not_lowered
from compile.artefact.manifest import FloatOperation
from compile.codegen.kernel_objects import EmittedCode, KernelCompiler
from compile.codegen.link.link import ExportLinker, LinkOptions, LinkReport
from compile.graph.parts import MAIN
from compile.pipeline import (
    ModuleObserver,
    PhaseReporter,
    emit_code,
    partition_network,
    plan_part,
)
from compile.place_network import Part
from compile.support.build_cache import NO_CACHE, BuildCache
from compile.support.errors import GraphError
from targets.spec import TargetSpec


@dataclass(frozen=True)
class PlannedPart:
    """A part with its kernels scheduled and its memory planned.

    Attributes:
        part: which it is, and how it is compiled.
        module: kernels with their final loops, called in order.
        unscheduled: the module behind the phase "lower".
    """

    part: Part
    module: tvm.IRModule
    unscheduled: tvm.IRModule


@dataclass(frozen=True)
class NetworkPlan:
    """All that is known of a network before its code is emitted.

    Attributes:
        interface: its input, its output, and what its parts pass on.
        parts: in the order of computation; a single one where one device computes all.
        not_lowered: operations between int8 tensors that no integer kernel computes.
        partitioned: the module that the parts were planned of.
    """

    interface: Interface
    parts: tuple[PlannedPart, ...]
    not_lowered: tuple[FloatOperation, ...]
    partitioned: tvm.IRModule


def plan_parts(
    program: ExportedProgram,
    placement: Sequence[Part],
    report: PhaseReporter = lambda name: nullcontext(),
    observe: ModuleObserver = lambda number, name, mod: None,
    compilers: Mapping[str, KernelCompiler | None] = MappingProxyType({}),
) -> NetworkPlan:
    """Plan each part of the quantized ``program`` for its device; ``report`` is called around each
    phase with its name, ``observe`` behind it with its module. ``compilers``, by the file name of a
    part's library, begin with the kernels that are scheduled.

    Raises:
        GraphError: the program holds what the compiler cannot take, or it has no boundary between
            precisions where ``placement`` needs one.
    """
    partitioned = partition_network(program, placement[0].options, report, observe)
    functions = {var.name_hint for var in partitioned.get_global_vars()}
    if not functions.issuperset(part.name for part in placement):
        raise GraphError("the network has no boundary between precisions to be split at")
    parts = tuple(
        _plan(partitioned, part, report, observe, compilers.get(part.library)) for part in placement
    )
    interface, not_lowered = describe_interface(partitioned), list_not_lowered(partitioned)
    return NetworkPlan(interface, parts, not_lowered, partitioned)


def _plan(
    partitioned: tvm.IRModule,
    part: Part,
    report: PhaseReporter,
    observe: ModuleObserver,
    compiler: KernelCompiler | None,
) -> PlannedPart:
    unscheduled = partitioned

    def keep(number: int, name: str, mod: tvm.IRModule) -> None:
        nonlocal unscheduled
        if name.split("-")[0] == "lower":
            unscheduled = mod
        observe(number, name, mod)

    module = plan_part(partitioned, part.name, part.options, report, keep, compiler)
    return PlannedPart(part, module, unscheduled)


def emit_parts(
    plan: NetworkPlan,
    cache: BuildCache = NO_CACHE,
    report: PhaseReporter = lambda name: nullcontext(),
    compilers: Mapping[str, KernelCompiler | None] = MappingProxyType({}),
) -> dict[str, EmittedCode]:
    """Generate the code of each part of ``plan``, by the file name of its library. Kernels that
    ``cache`` holds are not compiled again, nor those that ``compilers`` have begun with."""
    executables = {}
    for one in plan.parts:
        part, library = one.part, one.part.library
        with report(_phase_name("emit", part)):
            compiler = compilers.get(library)
            executables[library] = emit_code(one.module, part.options, cache, compiler)
    return executables


def link_parts(
    executables: Mapping[str, EmittedCode],
    spec: TargetSpec,
    options: LinkOptions,
    folder: Path,
    report: PhaseReporter = lambda name: nullcontext(),
) -> LinkReport:
    """Link ``executables``, from :func:`emit_parts`, into libraries in ``folder``; what linked the
    last of them.

    Raises:
        TargetError: no linker is found.
        OutputError: a library cannot be written.
    """
    linker = ExportLinker(spec, options)
    for library, executable in executables.items():
        with report(f"link {library}"):
            executable.export(folder / library, linker)
    assert linker.report is not None  # No build is without a library.
    return linker.report


def _phase_name(phase: str, part: Part) -> str:
    return phase if part.name == MAIN else f"{part.name}, {phase}"
