"""Instructions that multiply int16, one by one or in pairs, and add the products to int32 lanes
that wrap around.

They are half as wide as those that multiply bytes, and take numbers twice as wide: the Winograd
transform of bytes (:mod:`compile.kernels.cpu.int8.winograd`). Intel's manual, volume 2, VPDPWSSD
and PMADDWD; Arm Architecture Reference Manual, C7.2, SMULL and SMLAL (by element).
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.common.wrapping import wrapping_add_of_vectors
from compile.kernels.cpu.instructions.arm_smlal import neon, smlal
from compile.kernels.cpu.instructions.dot_product import DotProduct, Emitter
from compile.kernels.cpu.instructions.x86_pmaddwd import multiply_pairs, pmaddwd
from compile.kernels.cpu.instructions.x86_vnni import accumulate, vnni

_GROUP = 2
_WORD_LANES = 4


def vpdpwssd(bits: int) -> DotProduct:
    """The instruction of x86 with VNNI, on registers of up to ``bits``."""
    return _of("vpdpwssd", vnni(bits).lanes, _emit_vpdpwssd)


def pmaddwd_pairs(bits: int) -> DotProduct:
    """The two instructions of x86 before VNNI, on registers of up to ``bits``."""
    return _of("pmaddwdpairs", pmaddwd(bits).lanes, _emit_pmaddwd, temporaries=1)


def smlal_words() -> DotProduct:
    """The two instructions of ARM without dot products: each multiplies four weights by one number,
    an element of a register, so that neither is rearranged."""
    return DotProduct(
        "smlalwords",
        1,
        "int16",
        "int16",
        0,
        smlal().lanes,
        (16, 8, 4, 2, 1),
        _emit_smlal,
        steps_together=2,
        spread=_spread_words,
    )


def _of(name: str, lanes: tuple[int, ...], emit: Emitter, temporaries: int = 0) -> DotProduct:
    return DotProduct(name, _GROUP, "int16", "int16", 0, lanes, (1,), emit, temporaries=temporaries)


def _emit_vpdpwssd(
    accumulator: tirx.Expr, data: Sequence[tirx.Expr], weights: Sequence[tirx.Expr], lanes: int
) -> tirx.Expr:
    (words,), (vector,) = data, weights
    members = f"int16x{lanes * _GROUP}"
    return accumulate("vpdpwssd", accumulator, words, vector, members, lanes)


def _emit_pmaddwd(
    accumulator: tirx.Expr, data: Sequence[tirx.Expr], weights: Sequence[tirx.Expr], lanes: int
) -> tirx.Expr:
    (words,), (vector,) = data, weights
    return wrapping_add_of_vectors(accumulator, multiply_pairs(words, vector, lanes))


def _spread_words(data: tirx.Expr, first: int, count: int) -> tirx.Expr:
    """One or two numbers of int16 ``data``, each in as many lanes as there are weights."""
    if data.ty.dtype.lanes == 1:
        return T.broadcast(data, _WORD_LANES)
    numbers = [tirx.Shuffle([data], [first + n]) for n in range(count)]
    spread = [T.broadcast(number, _WORD_LANES) for number in numbers]
    return tirx.Shuffle(spread, list(range(count * _WORD_LANES))) if count > 1 else spread[0]


def _emit_smlal(
    accumulator: tirx.Expr, data: Sequence[tirx.Expr], weights: Sequence[tirx.Expr], lanes: int
) -> tirx.Expr:
    (words,), (vector,) = data, weights
    for first in range(0, vector.ty.dtype.lanes, lanes):
        places = list(range(first, first + lanes))
        four, word = (tirx.Shuffle([register], places) for register in (vector, words))
        product = neon("smull", f"int32x{lanes}", four, word)
        accumulator = wrapping_add_of_vectors(accumulator, product)
    return accumulator
