"""A processor's backend, for passes that ask little of it."""

from __future__ import annotations

from compile.backends.cpu import CpuBackend
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.dot_product import DotProduct


def cpu_backend(dot_product: DotProduct | None = None) -> CpuBackend:
    """A core with vectors of 128 bits, and the instruction if one is named."""
    return CpuBackend(CpuCore(128, 32, 1), dot_product)
