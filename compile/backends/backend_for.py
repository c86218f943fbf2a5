"""From a target to its backend: the one place that asks what computes there."""

from __future__ import annotations

from compile.backends.backend import Backend
from compile.backends.cpu import CpuBackend
from compile.backends.gpu import GpuBackend
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.dot_products import dot_product_named
from compile.kernels.gpu.gpu_core import GpuCore
from targets.load_target import TargetSpec


def backend_for(spec: TargetSpec, threads: int, image_weights: bool = False) -> Backend:
    """Return the backend of the target's GPU, or else of its processor with so many ``threads``.

    ``image_weights``: default configurations of a GPU read int8 weights from images where they can.
    """
    if (gpu := spec.gpu) is not None:
        return GpuBackend(GpuCore(gpu.work_group, gpu.registers, gpu.vector_bytes, image_weights))
    return CpuBackend(
        cpu_core(spec, threads), dot_product_named(spec.dot_product, spec.vector_bits)
    )


def cpu_core(spec: TargetSpec, threads: int) -> CpuCore:
    """Return what schedules know of the target's processor.

    AVX-512 and NEON have 32 vector registers, the other x86 instruction sets 16.
    """
    is_wide_file = spec.vector_bits == 512 or spec.machine == "EM_AARCH64"
    registers = 32 if is_wide_file else 16
    return CpuCore(spec.vector_bits, registers, threads, spec.l1d_bytes, spec.l2_bytes)
