"""ARM without the dot product extension (Cortex-A53, A72): ``smull`` and ``smlal`` multiply bytes
to int16, and ``sadalp`` adds pairs of those to int32.

Two products fit 16 bits as long as no weight is -128: 2 * 128 * 127 < 2^15. So a group is a pair of
input channels, the products of two groups are added up in 16 bits, and then each lane's pair to its
int32: three instructions for 16 products (Arm Architecture Reference Manual, C7.2, SMULL, SMLAL,
SADALP).

A pair of data has to stand in all lanes: ``tbl`` puts two pairs into the halves of a register. It
serves all vectors of weights, so the pixels of a tile are gone through outside of its vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.cpu.instructions.dot_product import DotProduct, TapProducts

_GROUP, _LANES, _TOGETHER = 2, 4, 2
_HALF, _BYTES = 8, 16


def smlal() -> DotProduct:
    """The instructions as if they were one."""
    return DotProduct(
        "smlal",
        _GROUP,
        "int8",
        "int8",
        0,
        lanes=(_LANES,),
        steps=(8, 4, 2, 1),
        emit=_emit,
        least_weight=-127,
        temporaries=4,
        starts_at_bias=True,
        steps_together=_TOGETHER,
        weights_by_step=True,
        spread=_spread,
        taps=TapProducts((16, 8), _emit_taps),
    )


def smlal_parts() -> DotProduct:
    """The same for channels that fill registers, of which a group does: no ``tbl`` is needed, and
    sums are in parts (:mod:`compile.kernels.cpu.instructions.arm_parts`)."""
    return DotProduct(
        "smlalparts",
        _BYTES,
        "int8",
        "int8",
        0,
        lanes=(_LANES,),
        steps=(1,),
        emit=_emit,
        least_weight=-127,
    )


def _emit(
    accumulator: tirx.Expr, data: Sequence[tirx.Expr], weights: Sequence[tirx.Expr], lanes: int
) -> tirx.Expr:
    """Of data and weights that are one group in each lane, or two in the halves of a register."""
    for values, vector in zip(data, weights, strict=True):
        halves = range(vector.ty.dtype.lanes // _HALF)
        products = _products([(_half(values, n), _half(vector, n)) for n in halves])
        accumulator = _fenced(accumulator + neon("saddlp", "int32x4", products))
    return accumulator


def _emit_taps(
    accumulators: Sequence[tirx.Expr], data: Sequence[tirx.Expr], weights: Sequence[tirx.Expr]
) -> Sequence[tirx.Expr]:
    totals = list(accumulators)
    for first in range(0, len(data), _TOGETHER):
        taps = range(first, min(first + _TOGETHER, len(data)))
        for half in range(data[0].ty.dtype.lanes // _HALF):
            products = _products([(_half(data[t], half), _half(weights[t], half)) for t in taps])
            for quarter in range(2):
                four = tirx.Shuffle([products], list(range(4 * quarter, 4 * quarter + 4)))
                n = 2 * half + quarter
                totals[n] = _fenced(totals[n] + four.astype("int32x4"))
    return totals


def _products(pairs: Sequence[tuple[tirx.Expr, tirx.Expr]]) -> tirx.Expr:
    """The sum, int16x8, of the products of one or two ``pairs`` of int8x8."""
    first, *others = (neon("smull", "int16x8", *pair) for pair in pairs)
    return sum(others, first)


def _spread(data: tirx.Expr, first: int, count: int) -> tirx.Expr:
    """Groups ``first`` and, for a ``count`` of two, the next of int8 ``data``: each in all lanes of
    a half register."""
    bits = 8 * data.ty.dtype.lanes
    if count == 1:
        word = T.reinterpret(data, dtype=f"int16x{bits // 16}" if bits > 16 else "int16")
        word = tirx.Shuffle([word], [first]) if bits > 16 else word
        return T.reinterpret(T.broadcast(word, _LANES), dtype=f"int8x{_HALF}")
    if bits < 128:
        data = T.reinterpret(data, dtype=f"int{bits}")
        data = T.reinterpret(T.broadcast(data, 128 // bits), dtype=f"int8x{_BYTES}")
    # As a shuffle LLVM would split it into one for each half.
    places = [_GROUP * (first + n) for n in range(count)]
    words = [T.broadcast(T.int16((place + 1) << 8 | place), _LANES) for place in places]
    mask = T.reinterpret(tirx.Shuffle(words, list(range(2 * _LANES))), dtype=f"int8x{_BYTES}")
    return neon("tbl1", f"int8x{_BYTES}", data, mask)


def _half(vector: tirx.Expr, which: int) -> tirx.Expr:
    if vector.ty.dtype.lanes == _HALF:
        return vector
    return tirx.Shuffle([vector], list(range(which * _HALF, (which + 1) * _HALF)))


def _fenced(vector: tirx.Expr) -> tirx.Expr:
    """``vector``, which LLVM's passes do not look through. They would take a chain of sums apart
    and put all sums behind all products, for which there are not enough registers."""
    floats = T.reinterpret(vector, dtype=f"float32x{_LANES}")
    intrinsic = T.llvm_lookup_intrinsic_id("llvm.arithmetic.fence")
    fenced = T.call_llvm_pure_intrin(intrinsic, floats, dtype=f"float32x{_LANES}")
    return T.reinterpret(fenced, dtype=f"int32x{_LANES}")


def neon(name: str, dtype: str, *args: tirx.Expr) -> tirx.Expr:
    """Call LLVM's intrinsic of a NEON instruction by ``name``; the result is of ``dtype``."""
    intrinsic = T.llvm_lookup_intrinsic_id(f"llvm.aarch64.neon.{name}")
    return T.call_llvm_pure_intrin(intrinsic, *args, dtype=dtype)
