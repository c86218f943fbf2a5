"""Tensor intrinsics of a window's taps for a depthwise convolution, whose channels are the lanes: a
description that can be run, and code."""

from __future__ import annotations

from functools import cache

from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.common import tir_script
from compile.kernels.cpu.instructions.dot_intrinsics import registered
from compile.kernels.cpu.instructions.dot_product import TapProducts

#: Channels whose sums are in one register.
TAP_SUMS = 4


def taps_intrinsic(taps: TapProducts, name: str, kernel: tuple[int, int], lanes: int) -> str:
    """Name of the intrinsic ``C[l] += A[:, :, l] . B[:, :, l]`` over a window of ``kernel`` (rows,
    columns) by the instruction called ``name``, registered."""
    rows, columns = kernel
    full = f"mqnet.{name}_taps_{rows}x{columns}x{lanes}"
    return registered(full, lambda: taps_pair(taps, kernel, lanes))


@cache
def taps_pair(
    taps: TapProducts, kernel: tuple[int, int], lanes: int
) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`taps_intrinsic`: (A int8 [rows,columns,lanes], B
    int8 [rows,columns,lanes], C int32 [lanes], in and out)."""
    rows, columns = kernel
    shape = rows, columns, lanes

    @tir_script.prim_func(s_tir=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        row_stride, column_stride = T.int32(), T.int32()
        weight_row_stride, weight_stride = T.int32(), T.int32()
        A = T.match_buffer(
            a, shape, "int8", strides=[row_stride, column_stride, 1], offset_factor=1
        )
        B = T.match_buffer(
            b, shape, "int8", strides=[weight_row_stride, weight_stride, 1], offset_factor=1
        )
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(
                C[0:lanes],
                A[0:rows, 0:columns, 0:lanes],
                B[0:rows, 0:columns, 0:lanes],
            )
            T.writes(C[0:lanes])
            for lane, row, column in T.grid(lanes, rows, columns):
                with T.sblock("update"):
                    vl, vr, vc = T.axis.remap("SRR", [lane, row, column])
                    C[vl] = C[vl] + T.Cast("int32", A[vr, vc, vl]) * T.Cast("int32", B[vr, vc, vl])

    def accumulate(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> None:
        data, weights = (
            [
                buffer.vload([row, column, 0], f"int8x{lanes}")
                for row in range(rows)
                for column in range(columns)
            ]
            for buffer in (A, B)
        )
        starts = range(0, lanes, TAP_SUMS)
        sums = [C.vload([n], f"int32x{TAP_SUMS}") for n in starts]
        for n, total in zip(starts, taps.emit(sums, data, weights), strict=True):
            T.buffer_store(C, total, [T.ramp(n, 1, TAP_SUMS)])

    @tir_script.prim_func(s_tir=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        row_stride, column_stride = T.int32(), T.int32()
        weight_row_stride, weight_stride = T.int32(), T.int32()
        A = T.match_buffer(
            a, shape, "int8", strides=[row_stride, column_stride, 1], offset_factor=1
        )
        B = T.match_buffer(
            b, shape, "int8", strides=[weight_row_stride, weight_stride, 1], offset_factor=1
        )
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(
                C[0:lanes],
                A[0:rows, 0:columns, 0:lanes],
                B[0:rows, 0:columns, 0:lanes],
            )
            T.writes(C[0:lanes])
            accumulate(A, B, C)

    return description, implementation
