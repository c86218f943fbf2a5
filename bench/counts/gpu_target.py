"""What a frame of our build makes a Mali execute, as Mesa's compiler compiles its kernels."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.counts.gpu_launches import GpuLaunch, gpu_launches
from compile.artefact.describe_parts import describe_kernels
from compile.artefact.list_calls import list_calls
from compile.build_network import quantized_program
from compile.build_request import BuildRequest
from compile.pipeline import PipelineOptions, emit, plan_network
from compile.quantize.schemes import scheme_named
from compile.records.log_folder import log_for_builds, records_name
from compile.support.build_cache import user_cache
from compile.support.errors import TargetError
from compile.support.progress import Progress
from device.emulated.mali.compile_kernels import check_compiler, compile_kernels
from device.emulated.mali.shader_text import Counts, Shader
from targets.describe_target import tvm_target
from targets.load_target import load_target
from targets.spec import TargetSpec

NOTE = "counts by Mesa's compiler, not times"


@dataclass(frozen=True)
class GpuKernel:
    """All launches of one kernel in a frame.

    Attributes:
        launch: one of them.
        layers: of the network that the launches compute, in order.
        calls: in the frame.
        macs: multiply-accumulates of all launches, of the first kernel of a function.
        family, schedule: see :class:`compile.artefact.manifest.KernelSummary`.
        shader: what has been compiled.
        counts: of one work item.
    """

    launch: GpuLaunch
    layers: tuple[str, ...]
    calls: int
    macs: int
    family: str
    schedule: str
    shader: Shader
    counts: Counts

    @property
    def total(self) -> Counts:
        """Of all work items of all launches."""
        return self.counts * (self.launch.work_items * self.calls)

    def as_json(self) -> dict[str, Any]:
        """Plain data for JSON, without the source."""
        launch = asdict(self.launch)
        del launch["source"]
        return {
            **launch,
            "work_items": self.launch.work_items,
            "layers": self.layers,
            "calls": self.calls,
            "macs": self.macs,
            "family": self.family,
            "schedule": self.schedule,
            "registers": self.shader.registers,
            "spills": self.shader.spills,
            "fills": self.shader.fills,
            "of_a_work_item": asdict(self.counts),
            "of_a_frame": asdict(self.total),
        }


@dataclass(frozen=True)
class GpuFrame:
    """A frame on the GPU of a target.

    Attributes:
        target: by name.
        device: GPU and version of the compiler.
        kernels: those with the most loads and stores first.
    """

    target: str
    device: str
    kernels: tuple[GpuKernel, ...]

    @property
    def total(self) -> Counts:
        """Of all kernels."""
        return sum((kernel.total for kernel in self.kernels), Counts(0, 0, 0, 0))


def check_has_compiler(spec: TargetSpec) -> None:
    """Raise where no single Mali is named, for which Mesa's compiler could compile.

    Raises:
        TargetError: another target's.
    """
    if spec.gpu is None or spec.gpu.mesa_gpu is None:
        raise TargetError(
            f"target {spec.name} names no 'mesa_gpu' that Mesa's compiler could compile for: "
            "name one that does, such as linux-mali"
        )


def count_gpu_frame(
    root: Path,
    request: BuildRequest,
    families: Collection[str],
    phases: Progress,
) -> GpuFrame:
    """Build the network of ``request`` and compile its kernels of ``families`` (all,
    where that is empty) by the compiler of ``root``, and report each phase to ``phases``.

    Raises:
        MqnetError: one of its kinds, for a mistake that a user can mend.
    """
    spec = load_target(request.target)
    check_has_compiler(spec)
    check_compiler(root)
    with phases.phase("quantize"):
        program = quantized_program(request, user_cache(os.environ))
    records = log_for_builds(records_name(spec), None)
    scheme, images = scheme_named(request.scheme), request.image_weights
    options = PipelineOptions.for_scheme(spec, 1, scheme, records, images)
    planned = plan_network(program, options, phases.phase)
    with phases.phase("emit"):
        executable = emit(planned, options)
    summaries = {kernel.name: kernel for kernel in describe_kernels(planned)}
    known = {kernel.family for kernel in summaries.values()}
    if unknown := sorted(set(families) - known):
        raise TargetError(
            f"no kernel of family {', '.join(unknown)} in this network, only of "
            f"{', '.join(sorted(known))}"
        )
    launches = [
        launch
        for launch in gpu_launches(planned, executable, tvm_target(spec))
        if not families or summaries[launch.function].family in families
    ]
    sources = {launch.name: launch.source for launch in launches}
    assert spec.gpu is not None and spec.gpu.mesa_gpu is not None
    mesa_gpu = spec.gpu.mesa_gpu
    with phases.count("Mesa's compiler", len(sources)) as step:
        compiled = compile_kernels(root, mesa_gpu, sources, lambda kernel: step.advance())
    calls = list_calls(planned)
    kernels = []
    for launch in launches:
        summary, shader = summaries[launch.function], compiled.shaders[launch.name]
        of_kernel = [call for call in calls if call.kernel == launch.function]
        is_first = launch.name == f"{launch.function}_kernel"
        kernels.append(
            GpuKernel(
                launch,
                tuple(layer for call in of_kernel for layer in call.layers),
                len(of_kernel),
                summary.macs * len(of_kernel) if is_first else 0,
                summary.family,
                summary.schedule,
                shader,
                shader.counts(launch.iterations(len(shader.loops))),
            )
        )
    kernels.sort(key=lambda kernel: -kernel.total.accesses)
    return GpuFrame(spec.name, compiled.device, tuple(kernels))
