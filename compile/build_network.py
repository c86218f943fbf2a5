"""From a request to an artefact in five steps: quantize, plan, emit, link, describe.

Each step is a function of explicit values that returns a value: it can be called by itself, and its
result can be kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from torch.export import ExportedProgram

from compile.artefact.describe_coverage import describe_coverage
from compile.artefact.describe_interface import name_tensors
from compile.artefact.describe_parts import describe_kernels, describe_parts, sum_of_parts
from compile.artefact.explain_floats import explain_floats
from compile.artefact.keep_artefact import (
    artefact_key,
    keep_artefact,
    restore_artefact,
)
from compile.artefact.list_calls import list_calls
from compile.artefact.list_nodes import list_nodes
from compile.artefact.list_tensors import join_parts, list_tensors
from compile.artefact.manifest import (
    FORMAT,
    LIBRARY,
    MANIFEST,
    VECTOR,
    CallSummary,
    CheckpointFacts,
    Coverage,
    FileFacts,
    KernelSummary,
    Manifest,
    PartSummary,
    PlannedTensor,
    SplitFacts,
)
from compile.artefact.reader import Artefact, open_artefact
from compile.artefact.vector_file import TestVector, write_vector
from compile.artefact.writer import describe_files, staged_artefact, write_manifest
from compile.build_parts import NetworkPlan, emit_parts, link_parts, plan_parts
from compile.build_request import BuildRequest
from compile.build_stages import check_stages, write_stages
from compile.codegen.link.link import LinkOptions, LinkReport
from compile.codegen.standalone.build_standalone import identifier_of
from compile.graph.parts import COPY, HEAD, INPUT, MAIN
from compile.networks.registry import MQNET, NETWORKS
from compile.pipeline import (
    PipelineOptions,
    dump_modules,
    kernel_compiler,
)
from compile.place_network import place_network
from compile.quantize.check_output import check_output
from compile.quantize.crop_size import crop_size
from compile.quantize.keep_program import find_program, keep_program, program_key
from compile.records.log_folder import log_for_builds, records_name
from compile.standalone_form import (
    CompiledNetwork,
    check_standalone,
    example_frame,
    name_of,
    write_standalone,
)
from compile.support.build_cache import NO_CACHE, BuildCache
from compile.support.check_positive import check_positive
from compile.support.checksum import sha256_of
from compile.support.errors import CheckpointError, MqnetError
from compile.support.progress import Progress
from compile.support.scratch_space import check_scratch_space
from targets.check_llvm import check_llvm_knows
from targets.describe_target import describe_target
from targets.load_target import load_target
from targets.spec import TargetSpec

if TYPE_CHECKING:
    from compile.quantize.observed_tensors import ObservedTensors

_PACKAGES = ("apache-tvm", "apache-tvm-ffi", "torch", "torchao", "numpy", "mqnet-tvm")


def build_network(
    request: BuildRequest,
    progress: Progress,
    program: ExportedProgram | None = None,
    cache: BuildCache = NO_CACHE,
) -> Artefact:
    """Quantize, plan, emit, link and describe the network of ``request``; the folder that results,
    opened again.

    ``program`` is what :func:`quantized_program` has given for ``request``, where the caller has it
    already: calibration takes as long as the rest. What ``cache`` holds of an earlier build is not
    made again.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    spec = load_target(request.target)
    options = _pipeline_options(request, spec)
    placement = place_network(options, request.on_processor, request.logs)
    check_standalone(request, spec)
    check_stages(request, spec)
    folder = request.out or request.default_folder
    check_scratch_space()
    key = None
    # Modules that are to be dumped have to be made, and a program of the caller's has no key.
    # What the file of a user's own network imports is not known.
    is_known = request.network.name in NETWORKS or request.network.content
    if cache.is_on and is_known and request.dump_ir is None and program is None:
        key = artefact_key(request.facts(), request.checkpoint, request.logs)
        if (kept := restore_artefact(cache, key, folder, progress)) is not None:
            return kept
    with staged_artefact(folder) as work:
        with progress.phase("quantize"):
            program = program or quantized_program(request, cache)
        with ExitStack() as compiling:
            compilers = {
                part.library: compiling.enter_context(kernel_compiler(part.options, cache))
                for part in placement
            }
            dump = dump_modules(request.dump_ir)
            plan = plan_parts(program, placement, progress.phase, dump, compilers)
            executables = emit_parts(plan, cache, progress.phase, compilers)
        link = LinkOptions(ndk_compiler=request.ndk_compiler)
        report = link_parts(executables, spec, link, work, progress.phase)
        names = (*executables, VECTOR)
        with progress.phase("test vector"):
            _write_vector(request, program, plan, work / VECTOR)
        if request.tiles:
            names += write_stages(
                plan.partitioned, options, link, work, cache, progress.phase, dump
            )
        if request.standalone:
            with progress.phase("standalone form"):
                objects = executables[LIBRARY].objects
                part = plan.parts[0]
                compiled = CompiledNetwork(part.unscheduled, plan.interface, part.module, objects)
                names += write_standalone(request, spec, options, compiled, work, cache)
        files = describe_files(work, names)
        write_manifest(work, describe_build(request, program, spec, plan, report, files))
        if key is not None:
            keep_artefact(cache, key, request.default_folder, work, (*names, MANIFEST))
    return open_artefact(folder)


def _write_vector(
    request: BuildRequest, program: ExportedProgram, plan: NetworkPlan, path: Path
) -> None:
    modules = {one.part.library: one.unscheduled for one in plan.parts}
    frame = example_frame(request.network, *request.size)
    write_vector(path, TestVector(frame, modules, list_nodes(program)))


def quantized_program(
    request: BuildRequest, cache: BuildCache = NO_CACHE, observed: ObservedTensors | None = None
) -> ExportedProgram:
    """The quantized network of ``request``; ``cache`` lets it be calibrated once, for any size, and
    ``observed``, of other schemes of the same network, where they have.

    Raises:
        MqnetError: the checkpoint or the scheme is at fault.
    """
    network, scheme = request.network, request.quantization
    weights = request.weights
    network.check_scheme(scheme.name, scheme.calibrates)
    if scheme.calibrates:
        network.explain_calibration()
    net = network.load(weights)
    network.check_size(*request.size)
    crop = crop_size(network, net, *request.size)
    key = program_key(network, scheme, weights, net, crop) if cache.is_on else ""
    found = find_program(cache, key, network, network.example_inputs(*request.size))
    if found is not None:
        return found
    photos = network.calibration_photos() if network.takes_photographs else ()
    whose = f"checkpoint {weights}" if weights else f"network {network.title}"
    remedy = "train it again" if weights else "look at what it computes"
    check_output(network, net, photos, whose, crop, remedy)
    # They import torchao, which takes as long as to plan a network.
    from compile.quantize.observers import NotANumberError
    from compile.quantize.quantize import quantize_network

    try:
        program = quantize_network(network, net, scheme, photos, *request.size, crop, observed)
    except NotANumberError:
        raise CheckpointError(
            f"{whose} makes values on the way that are no numbers once it is calibrated: {remedy}"
        ) from None
    if cache.is_on:
        keep_program(cache, key, program)
    return program


def float_network(request: BuildRequest) -> ExportedProgram | None:
    """The network of ``request`` in float32, as it is before :func:`quantized_program` quantizes
    it; None where it comes quantized.

    Raises:
        MqnetError: the checkpoint or the scheme is at fault.
    """
    from compile.quantize.quantize import float_program

    network = request.network
    photos = network.calibration_photos() if network.takes_photographs else ()
    net = network.load(request.weights)
    return float_program(network, net, request.quantization, photos, *request.size)


def describe_build(
    request: BuildRequest,
    program: ExportedProgram,
    spec: TargetSpec,
    plan: NetworkPlan,
    linked: LinkReport,
    files: dict[str, FileFacts],
) -> Manifest:
    """Describe the build of ``request`` for ``spec``.

    Args:
        request, program: what was to be built, and its network, quantized.
        spec: its target.
        plan: what was emitted.
        linked: of the last library.
        files: the libraries.
    """
    checkpoint, interface, network = request.weights, plan.interface, request.network
    calls = [list_calls(planned.module, planned.part.name) for planned in plan.parts]
    split = None
    if request.on_processor is not None:
        split = SplitFacts(request.on_processor, interface.head_arguments)
    return Manifest(
        format=FORMAT,
        scheme=request.scheme,
        recipe=None
        if request.recipe is None
        else CheckpointFacts(request.recipe.name, sha256_of(request.recipe)),
        network=network.title,
        parameters={} if network.name == MQNET else network.parameters,
        decoding=network.decoding,
        attention=network.parameters.get("attention", "none"),
        checkpoint=None
        if checkpoint is None
        else CheckpointFacts(checkpoint.name, sha256_of(checkpoint)),
        target=describe_target(spec),
        threads=max(planned.part.options.threads for planned in plan.parts),
        inputs=name_tensors(interface.inputs, network.input_names, network.takes_photographs),
        outputs=name_tensors(interface.outputs, network.output_names, network.makes_pictures),
        boundary=interface.boundary,
        split=split,
        parts=_parts_of(plan),
        kernels=_kernels_of(plan),
        calls=_calls_of(plan, calls),
        tensors=_tensors_of(plan, len(calls[0])),
        coverage=_coverage_of(request, program, plan, calls),
        linker=linked,
        versions={package: version(package) for package in _PACKAGES},
        files=files,
        standalone=identifier_of(name_of(network)) if request.standalone else "",
    )


def _parts_of(plan: NetworkPlan) -> tuple[PartSummary, ...]:
    """Functions of all parts together, the whole network last."""
    parts = [part for planned in plan.parts for part in describe_parts(planned.module)]
    if parts[-1].name != MAIN:
        parts.append(sum_of_parts(parts))
    return tuple(parts)


def _coverage_of(
    request: BuildRequest,
    program: ExportedProgram,
    plan: NetworkPlan,
    calls: Sequence[Sequence[CallSummary]],
) -> Coverage:
    """How much is in integers, and why other operations are not that the scheme wants there."""
    coverage = describe_coverage([part.module for part in plan.parts], calls)
    operations = explain_floats(
        program,
        request.network,
        request.quantization,
        plan.not_lowered,
        coverage.float_layers,
    )
    return msgspec.structs.replace(coverage, float_operations=operations)


def _kernels_of(plan: NetworkPlan) -> tuple[KernelSummary, ...]:
    return tuple(
        msgspec.structs.replace(kernel, part="" if name == MAIN else name)
        for planned in plan.parts
        for name in (planned.part.name,)
        for kernel in describe_kernels(planned.module)
    )


def _calls_of(plan: NetworkPlan, calls: Sequence[Sequence[CallSummary]]) -> tuple[CallSummary, ...]:
    """The ``calls`` of all parts, with the copies that the head needs from the other device."""
    found: list[CallSummary] = []
    copies = sum(origin != INPUT for origin in plan.interface.head_arguments)
    for planned, of_part in zip(plan.parts, calls, strict=True):
        if planned.part.name == HEAD:
            found += [CallSummary(COPY, ())] * copies
        found += of_part
    return tuple(found)


def _tensors_of(plan: NetworkPlan, calls: int) -> tuple[PlannedTensor, ...]:
    """The tensors of all parts; ``calls`` are the first one's."""
    first, *others = (list_tensors(one.module, one.part.name) for one in plan.parts)
    for head in others:
        first = join_parts(first, head, calls, plan.interface.head_arguments)
    return tuple(first)


def _pipeline_options(request: BuildRequest, spec: TargetSpec) -> PipelineOptions:
    """How the network of ``request`` is compiled for its target.

    Raises:
        MqnetError: LLVM cannot compile for the target, or the number of threads or the scheme does
            not fit.
    """
    check_llvm_knows(spec.processor)
    threads = spec.threads if request.threads is None else request.threads
    check_positive(threads=threads)
    scheme = request.quantization
    if not scheme.runs_on(spec):
        raise MqnetError(
            f"scheme {scheme.name} needs float16, which target {spec.name} does not have: "
            "take a scheme with float32, such as mixed"
        )
    records = log_for_builds(records_name(spec), request.logs)
    return PipelineOptions.for_scheme(spec, threads, scheme, records, request.image_weights)
