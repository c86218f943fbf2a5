"""ARM with i8mm (Cortex-A710, X2 and later): ``smmla`` multiplies 2x8 by 8x2 bytes.

Twice the products of ``sdot`` in an instruction, for a price: a register holds the sums of two
pixels by two channels, and both operands have eight numbers of each side by side (Arm Architecture
Reference Manual, C7.2, SMMLA).
"""

from __future__ import annotations

from functools import cache

from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.common import tir_script
from compile.kernels.cpu.instructions.dot_intrinsics import registered

#: Numbers that are multiplied for one sum; pixels, and channels, of one register.
GROUP, SIDE = 8, 2

_BYTES, _SUMS = SIDE * GROUP, SIDE * SIDE


def smmla_intrinsic(pairs: int, vectors: int) -> str:
    """Name of the intrinsic ``C[p, v] += A[p] . B[v]`` of 2x2 sums, registered."""
    return registered(f"mqnet.smmla_{pairs}x{vectors}", lambda: smmla_pair(pairs, vectors))


@cache
def smmla_pair(pairs: int, vectors: int) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`smmla_intrinsic`: (A int8 [pairs,1,16], the numbers
    of a pixel behind those of the one before, B int8 [vectors,1,16], likewise of channels, C int32
    [pairs,vectors,4], row by row, in and out)."""

    @tir_script.prim_func(s_tir=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        data_stride, weight_stride = T.int32(), T.int32()
        pair_stride, vector_stride = T.int32(), T.int32()
        A = T.match_buffer(
            a, (pairs, 1, _BYTES), "int8", strides=[data_stride, _BYTES, 1], offset_factor=1
        )
        B = T.match_buffer(
            b, (vectors, 1, _BYTES), "int8", strides=[weight_stride, _BYTES, 1], offset_factor=1
        )
        C = T.match_buffer(
            c,
            (pairs, vectors, _SUMS),
            "int32",
            strides=[pair_stride, vector_stride, 1],
            offset_factor=1,
        )
        with T.sblock("root"):
            T.reads(
                C[0:pairs, 0:vectors, 0:_SUMS], A[0:pairs, 0, 0:_BYTES], B[0:vectors, 0, 0:_BYTES]
            )
            T.writes(C[0:pairs, 0:vectors, 0:_SUMS])
            for pair, vector, s, g in T.grid(pairs, vectors, _SUMS, GROUP):
                with T.sblock("update"):
                    vp, vv, vs, vg = T.axis.remap("SSSR", [pair, vector, s, g])
                    C[vp, vv, vs] = C[vp, vv, vs] + T.Cast(
                        "int32", A[vp, 0, vs // SIDE * GROUP + vg]
                    ) * T.Cast("int32", B[vv, 0, vs % SIDE * GROUP + vg])

    def accumulate(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> None:
        for vector in range(vectors):
            for pair in range(pairs):
                total = T.call_llvm_pure_intrin(
                    T.llvm_lookup_intrinsic_id("llvm.aarch64.neon.smmla"),
                    C.vload([pair, vector, 0], f"int32x{_SUMS}"),
                    A.vload([pair, 0, 0], f"int8x{_BYTES}"),
                    B.vload([vector, 0, 0], f"int8x{_BYTES}"),
                    dtype=f"int32x{_SUMS}",
                )
                T.buffer_store(C, total, [pair, vector, T.ramp(0, 1, _SUMS)])

    @tir_script.prim_func(s_tir=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        data_stride, weight_stride = T.int32(), T.int32()
        pair_stride, vector_stride = T.int32(), T.int32()
        A = T.match_buffer(
            a, (pairs, 1, _BYTES), "int8", strides=[data_stride, _BYTES, 1], offset_factor=1
        )
        B = T.match_buffer(
            b, (vectors, 1, _BYTES), "int8", strides=[weight_stride, _BYTES, 1], offset_factor=1
        )
        C = T.match_buffer(
            c,
            (pairs, vectors, _SUMS),
            "int32",
            strides=[pair_stride, vector_stride, 1],
            offset_factor=1,
        )
        with T.sblock("root"):
            T.reads(
                C[0:pairs, 0:vectors, 0:_SUMS], A[0:pairs, 0, 0:_BYTES], B[0:vectors, 0, 0:_BYTES]
            )
            T.writes(C[0:pairs, 0:vectors, 0:_SUMS])
            accumulate(A, B, C)

    return description, implementation
