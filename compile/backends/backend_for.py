"""From a target to its backend: the one place that asks what computes there."""

from __future__ import annotations

from compile.backends.backend import Backend
from compile.backends.cpu import CpuBackend
from compile.backends.gpu import GpuBackend
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.dot_products import dot_product_named
from compile.kernels.gpu.gpu_core import GpuCore
from targets.spec import TargetSpec


def backend_for(spec: TargetSpec, threads: int, image_weights: bool = False) -> Backend:
    """Return the backend of the target's GPU, or else of its processor with so many ``threads``.

    ``image_weights``: default configurations of a GPU read int8 weights from images where they can.
    """
    if (gpu := spec.gpu) is not None:
        return GpuBackend(GpuCore(gpu.work_group, gpu.registers, gpu.vector_bytes, image_weights))
    core = spec.processor
    dot_product = dot_product_named(core.dot_product, core.vector_bits)
    return CpuBackend(cpu_core(spec, threads), dot_product)


def cpu_core(spec: TargetSpec, threads: int) -> CpuCore:
    """Return what schedules know of the target's processor."""
    core = spec.processor
    return CpuCore(
        core.vector_bits,
        core.vector_registers,
        threads,
        core.l1d_bytes,
        core.l2_bytes,
        core.recompute_bytes,
    )
