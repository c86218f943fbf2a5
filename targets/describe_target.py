"""What others are told of a target: TVM, and the readers of manifests and run files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from targets.spec import TargetSpec

if TYPE_CHECKING:
    import tvm

#: Of a description, in order. Artefacts, run files and tuning logs of other versions are read by
#: them.
_KEYS = (
    *("name", "title", "summary", "triple", "cpu", "features", "cores", "threads"),
    *("vector_bits", "dot_product", "peak_int8_macs", "peak_fp32_macs", "l1d_bytes", "l2_bytes"),
    *("linker", "machine", "variant", "requires", "timing", "opencl"),
)


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


def describe_target(spec: TargetSpec) -> dict[str, Any]:
    """Describe the target as plain data for JSON: processor and target in one table, a GPU in
    table `opencl`."""
    plain = msgspec.to_builtins(spec)
    processor, gpu = plain.pop("processor"), plain.pop("gpu")
    described = processor | plain
    described["opencl"] = gpu and {"processor": processor["name"], **gpu}
    return {key: described[key] for key in _KEYS}
