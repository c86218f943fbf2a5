"""x86 with VNNI (AVX512 with VL, or AVX): ``vpdpbusd`` multiplies four uint8 by four int8.

The data has to be unsigned: 128 is added to it, when it is copied anyway or else before each use,
by an xor of the bytes' upper bits (with AVX-512 the instruction that also broadcasts the group);
the packer takes 128 times the sum of the weights off the bias. Unlike ``vpdpbusds`` it does not
saturate (Intel's manual, volume 2, VPDPBUSD).
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.cpu.instructions.dot_product import DotProduct

_GROUP = 4
_LANES = (16, 8, 4)


def vnni(bits: int) -> DotProduct:
    """The instruction on registers of up to ``bits``."""
    lanes = tuple(n for n in _LANES if n * 32 <= bits)
    return DotProduct("vnni", _GROUP, "uint8", "int8", 128, lanes, (1,), _emit, starts_at_bias=True)


def accumulate(
    instruction: str,
    accumulator: tirx.Expr,
    words: tirx.Expr,
    vector: tirx.Expr,
    members: str,
    lanes: int,
) -> tirx.Expr:
    """int32 x ``lanes``: the ``accumulator`` and the products of ``words`` and ``vector``, by an
    ``instruction`` of VNNI that takes ``members`` of both."""
    return T.call_llvm_pure_intrin(
        T.llvm_lookup_intrinsic_id(f"llvm.x86.avx512.{instruction}.{lanes * 32}"),
        accumulator,
        T.reinterpret(words, dtype=members),
        vector,
        dtype=f"int32x{lanes}",
    )


def _emit(
    accumulator: tirx.Expr, data: Sequence[tirx.Expr], weights: Sequence[tirx.Expr], lanes: int
) -> tirx.Expr:
    (words,), (vector,) = data, weights
    # LLVM takes both operands as bytes since its version 22; TVM's own intrinsics still pass int32,
    # which the verifier refuses.
    members = f"int8x{lanes * _GROUP}"
    return accumulate("vpdpbusd", accumulator, words, vector, members, lanes)
