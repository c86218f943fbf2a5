"""The instruction that a target file's `dot_product` stands for."""

from __future__ import annotations

from dataclasses import replace

from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.arm_smlal import smlal, smlal_parts
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.pair_products import pmaddwd_pairs, smlal_words, vpdpwssd
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


def pair_product_of(dot: DotProduct, vector_bits: int) -> DotProduct | None:
    """The instruction on pairs of int16 that a processor with ``dot`` has; None where eight numbers
    by ``dot`` take no longer than a pair by it (sdot, smmla)."""
    return _pair_product_named(_PAIRS.get(dot.name, ""), vector_bits)


def parts_product_of(dot: DotProduct) -> DotProduct | None:
    """The form of ``dot`` that leaves sums in parts; None where there is none."""
    return smlal_parts() if dot.name == "smlal" else None


def annotated_dot_product(annotation: object, vector_bits: int) -> DotProduct:
    """The one that a kernel's block says it is made of, on registers of up to ``vector_bits``."""
    dot = instruction_named(str(annotation), vector_bits)
    assert dot is not None, f"a kernel of the unknown instruction {annotation}"
    return dot


def instruction_named(name: str, vector_bits: int) -> DotProduct | None:
    """A dot product instruction, or one on pairs of int16; None for any other ``name``."""
    if name == smlal_parts().name:
        return smlal_parts()
    return dot_product_named(name, vector_bits) or _pair_product_named(name, vector_bits)


_PAIRS = {"vnni": "vpdpwssd", "pmaddwd": "pmaddwdpairs", "smlal": "smlalwords"}


def _pair_product_named(name: str, vector_bits: int) -> DotProduct | None:
    if name == "vpdpwssd":
        return vpdpwssd(vector_bits)
    if name == "pmaddwdpairs":
        return pmaddwd_pairs(vector_bits)
    return smlal_words() if name == "smlalwords" else None
