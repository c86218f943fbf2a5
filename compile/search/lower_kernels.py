"""From a network's name to its kernels that have no schedules yet."""

from __future__ import annotations

from pathlib import Path

from torch.export import ExportedProgram

from compile.backends.backend_for import backend_for
from compile.build_network import quantized_program
from compile.build_request import BuildRequest
from compile.pipeline import PipelineOptions, lower_network
from compile.quantize.schemes import scheme_named
from compile.search.kernel_task import NetworkKernels, network_kernels
from compile.support.build_cache import NO_CACHE, BuildCache
from compile.support.progress import Progress
from targets.spec import TargetSpec


def tunable_kernels(
    build: BuildRequest,
    spec: TargetSpec,
    phases: Progress,
    program: ExportedProgram | None = None,
    cache: BuildCache = NO_CACHE,
) -> NetworkKernels:
    """What the network of ``build`` calls on ``spec``; ``program`` is the quantized network, where
    the caller has it already; ``cache`` may have it, too."""
    scheme = scheme_named(build.scheme)
    with phases.phase("quantize"):
        program = program or quantized_program(build, cache)
    # The records are not looked at before "schedule".
    options = PipelineOptions.for_scheme(spec, spec.threads, scheme, Path())
    lowered = lower_network(program, options, phases.phase)
    with phases.phase("kernels"):
        return network_kernels(lowered, backend_for(spec, spec.threads).families)
