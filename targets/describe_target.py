"""What others are told of a target: TVM, and the readers of manifests and run files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from targets.spec import (
    CoreCluster,
    DotProductName,
    LinkerName,
    MachineName,
    Processor,
    TargetSpec,
)
from targets.timing_model import TimingModel

if TYPE_CHECKING:
    import tvm


class OpenClFacts(msgspec.Struct, frozen=True):
    """The GPU that a build is for; see `targets.spec.OpenClSpec`."""

    processor: str
    work_group: int
    registers: int
    vector_bytes: int
    integer_dot_product: bool
    fp16: bool
    mesa_gpu: int | None = None


class CoreFacts(msgspec.Struct, frozen=True):
    """``count`` equal cores."""

    name: str
    count: int


class TargetFacts(msgspec.Struct, frozen=True):
    """A target in a manifest or a run file, as it was then; see `targets.spec.TargetSpec`.

    Processor and target are one table here. ``opencl`` is None where the processor runs the
    kernels. Files of other versions are read by it: a new attribute needs a default.
    """

    name: str
    title: str
    summary: str
    triple: str
    cpu: str
    features: tuple[str, ...]
    cores: tuple[CoreFacts, ...]
    threads: int
    vector_bits: int
    dot_product: str
    peak_int8_macs: int
    peak_fp32_macs: int
    l1d_bytes: int
    l2_bytes: int
    linker: str
    machine: str
    variant: str = ""
    requires: tuple[str, ...] = ()
    timing: dict[str, Any] | None = None
    opencl: OpenClFacts | None = None


def tvm_target(spec: TargetSpec, threads: int | None = None) -> tvm.target.Target:
    """Make TVM's target of `spec`, with `num-cores` as `threads` (default: the target's own).

    A GPU's has the processor as its host. Tuning records hold it, so that a change here takes them
    from every log there is.
    """
    import tvm

    processor = {
        "kind": "llvm",
        "mtriple": spec.processor.triple,
        "mcpu": spec.processor.cpu,
        "mattr": list(spec.processor.features),
        "num-cores": threads or spec.threads,
    }
    if spec.gpu is None:
        return tvm.target.Target(processor)
    group = spec.gpu.work_group
    device = {"kind": "opencl", "max_num_threads": group, "max_threads_per_block": group}
    return tvm.target.Target(device, host=processor)


def describe_instructions(spec: TargetSpec) -> str:
    """Name the instructions that int8 kernels are made of.

    Targets of which this is equal teach each other's cost models; session.json holds it.
    """
    if spec.gpu is not None:
        dot = "dot product" if spec.gpu.integer_dot_product else "none"
        return f"OpenCL {dot} {8 * spec.gpu.vector_bytes}"
    return f"{spec.machine} {spec.processor.dot_product} {spec.processor.vector_bits}"


def describe_target(spec: TargetSpec) -> TargetFacts:
    """Describe the target for manifests, run files and `--target help --json`."""
    plain = msgspec.to_builtins(spec)
    processor, gpu = plain.pop("processor"), plain.pop("gpu")
    opencl = gpu and {"processor": processor["name"], **gpu}
    return msgspec.convert({**processor, **plain, "opencl": opencl}, TargetFacts)


def described_processor(facts: TargetFacts) -> TargetSpec:
    """Make the target of the processor that `facts` describe, of a GPU the one beside it, for code
    of no tuned kernels: its file may be gone, for it may have been a user's own.
    """
    name = facts.name if facts.opencl is None else facts.opencl.processor
    return TargetSpec(
        name=name,
        title=facts.title,
        summary=facts.summary,
        processor=Processor(
            name=name,
            triple=facts.triple,
            cpu=facts.cpu,
            features=facts.features,
            vector_bits=facts.vector_bits,
            # Not told; of these any core has as many, and only schedules ask.
            vector_registers=16,
            dot_product=msgspec.convert(facts.dot_product, DotProductName),
            l1d_bytes=facts.l1d_bytes,
            l2_bytes=facts.l2_bytes,
            machine=msgspec.convert(facts.machine, MachineName),
            linker=msgspec.convert(facts.linker, LinkerName),
            requires=facts.requires,
        ),
        cores=tuple(CoreCluster(core.name, core.count) for core in facts.cores),
        threads=facts.threads,
        peak_int8_macs=facts.peak_int8_macs,
        peak_fp32_macs=facts.peak_fp32_macs,
        variant=facts.variant,
        timing=None if facts.timing is None else msgspec.convert(facts.timing, TimingModel),
    )
