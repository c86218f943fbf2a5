"""The instruction that a target file's `dot_product` stands for."""

from __future__ import annotations

from dataclasses import replace

from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.arm_smlal import smlal
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.x86_pmaddwd import pmaddwd
from compile.kernels.cpu.instructions.x86_vnni import vnni


def dot_product_named(name: str, vector_bits: int) -> DotProduct | None:
    """By name, on registers of up to ``vector_bits``; None where the target knows none.

    A core with smmla has sdot too, which is what its kernels use where no matrices are multiplied.
    """
    if name == "pmaddwd":
        return pmaddwd(vector_bits)
    if name == "vnni":
        return vnni(vector_bits)
    if name == "smlal":
        return smlal()
    if name == "smmla":
        return replace(sdot(), name="smmla", has_smmla=True)
    return sdot() if name == "sdot" else None


def annotated_dot_product(annotation: object, vector_bits: int) -> DotProduct:
    """The one that a kernel's block says it is made of, on registers of up to ``vector_bits``."""
    dot = dot_product_named(str(annotation), vector_bits)
    assert dot is not None, f"a kernel of the unknown instruction {annotation}"
    return dot
