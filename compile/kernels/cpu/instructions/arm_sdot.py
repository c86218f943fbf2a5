"""ARM with the dot product extension: ``sdot`` multiplies four int8 by four int8 in each lane.

Its by-element form takes any of the four groups of a register for all lanes, so one load of 16
channels feeds four instructions (Arm Architecture Reference Manual, C7.2, SDOT (by element)).
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.cpu.instructions.dot_product import DotProduct

_GROUP = 4


def sdot() -> DotProduct:
    """The instruction; its registers have 128 bits."""
    return DotProduct(
        "sdot",
        _GROUP,
        "int8",
        "int8",
        0,
        (4,),
        (4, 2, 1),
        _emit,
        depthwise_channels=8,
        stored_channels=16,
        starts_at_bias=True,
    )


def _emit(
    accumulator: tirx.Expr, data: Sequence[tirx.Expr], weights: Sequence[tirx.Expr], lanes: int
) -> tirx.Expr:
    for words, vector in zip(data, weights, strict=True):
        accumulator = T.call_llvm_pure_intrin(
            T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.sdot"),
            accumulator,
            vector,
            T.reinterpret(words, dtype=f"int8x{lanes * _GROUP}"),
            dtype=f"int32x{lanes}",
        )
    return accumulator
