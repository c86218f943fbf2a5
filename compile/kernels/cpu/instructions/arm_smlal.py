"""ARM without the dot product extension (Cortex-A53, A72): ``smull`` and ``smlal`` multiply bytes
to int16, and pairs of those are added to int32.

Two products fit 16 bits as long as no weight is -128: 2 * 128 * 127 < 2^15. So the products of two
groups are added up before they are widened (Arm Architecture Reference Manual, C7.2, SMULL, SMLAL,
SADDLP, ADDP).
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.cpu.instructions.dot_product import DotProduct

_GROUP, _LANES = 4, 4
_BYTES = _GROUP * _LANES


def smlal() -> DotProduct:
    """The instructions as if they were one."""
    lanes, steps = (_LANES,), (4, 2, 1)
    return DotProduct(
        "smlal",
        _GROUP,
        "int8",
        "int8",
        0,
        lanes,
        steps,
        _emit,
        least_weight=-127,
        temporaries=8,
    )


def _emit(
    accumulator: tirx.Expr, data: Sequence[tirx.Expr], weights: Sequence[tirx.Expr], lanes: int
) -> tirx.Expr:
    for start in range(0, len(data), 2):
        halves = []
        for first in (0, _BYTES // 2):
            products = [
                _call("smull", "int16x8", _half(_bytes(words), first), _half(vector, first))
                for words, vector in zip(
                    data[start : start + 2], weights[start : start + 2], strict=True
                )
            ]
            halves.append(_call("saddlp", "int32x4", sum(products[1:], products[0])))
        accumulator = accumulator + _call("addp", "int32x4", *halves)
    return accumulator


def _bytes(words: tirx.Expr) -> tirx.Expr:
    return T.reinterpret(words, dtype=f"int8x{_BYTES}")


def _half(vector: tirx.Expr, first: int) -> tirx.Expr:
    return tirx.Shuffle([vector], list(range(first, first + _BYTES // 2)))


def _call(name: str, dtype: str, *args: tirx.Expr) -> tirx.Expr:
    intrinsic = T.llvm_lookup_intrinsic_id(f"llvm.aarch64.neon.{name}")
    return T.call_llvm_pure_intrin(intrinsic, *args, dtype=dtype)
