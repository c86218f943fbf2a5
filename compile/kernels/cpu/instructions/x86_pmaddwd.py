"""x86 before VNNI: ``vpmaddwd`` multiplies int16 pairs and adds the two products, exactly.

``vpmaddubsw`` would take int8, but its sums saturate at 16 bits. So the data is widened once per
tile and the weights when they are packed (Intel's manual, volume 2, PMADDWD).
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.cpu.instructions.dot_product import DotProduct

_GROUP = 2
_INTRINSICS = {
    4: "llvm.x86.sse2.pmadd.wd",
    8: "llvm.x86.avx2.pmadd.wd",
    16: "llvm.x86.avx512.pmaddw.d.512",
}


def pmaddwd(bits: int) -> DotProduct:
    """The instruction on registers of up to ``bits``."""
    lanes = tuple(n for n in sorted(_INTRINSICS, reverse=True) if n * 32 <= bits)
    return DotProduct(
        "pmaddwd",
        _GROUP,
        "int16",
        "int16",
        0,
        lanes,
        (1,),
        _emit,
        temporaries=1,
        keeps_weights=True,
    )


def multiply_pairs(words: tirx.Expr, vector: tirx.Expr, lanes: int) -> tirx.Expr:
    """int32 x ``lanes``: the sums of the products of pairs of int16."""
    return T.call_llvm_pure_intrin(
        T.llvm_lookup_intrinsic_id(_INTRINSICS[lanes]),
        T.reinterpret(words, dtype=f"int16x{lanes * _GROUP}"),
        vector,
        dtype=f"int32x{lanes}",
    )


def _emit(
    accumulator: tirx.Expr, data: Sequence[tirx.Expr], weights: Sequence[tirx.Expr], lanes: int
) -> tirx.Expr:
    (words,), (vector,) = data, weights
    return accumulator + multiply_pairs(words, vector, lanes)
