"""Sums in parts, for ARM without the dot product extension: tensor intrinsics, a description that
can be run, and code.

Where data and weights have as many channels of a pixel side by side as a register holds, nothing
has to be brought into other lanes: the instruction multiplies the two registers as they were loaded
and leaves one part of the sum in each lane. The parts are added up once, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.common import tir_script
from compile.kernels.cpu.instructions.arm_smlal import neon
from compile.kernels.cpu.instructions.dot_intrinsics import registered
from compile.kernels.cpu.instructions.dot_product import DotProduct

#: Lanes of a register, and so the parts of a sum; neighbours whose products one part has.
PARTS, PAIR = 4, 2


def parts_intrinsic(dot: DotProduct, channels: int, pixels: int) -> str:
    """Name of the intrinsic ``C[n, p, :] += A[p, :] * B[n, :]``, registered."""
    name = f"mqnet.{dot.name}_parts_{channels}x{pixels}"
    return registered(name, lambda: parts_pair(dot, channels, pixels))


def join_parts_intrinsic() -> str:
    """Name of the intrinsic ``B[p] += A[p, 0] + A[p, 1] + A[p, 2] + A[p, 3]``, registered."""
    return registered("mqnet.join_parts", join_parts_pair)


@cache
def parts_pair(dot: DotProduct, channels: int, pixels: int) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`parts_intrinsic`: (A int8 [pixels,members], B int8
    [channels,members], C int32 [channels,pixels,PARTS], in and out), where members are the
    instruction's group: two halves, in each a pair of every part."""
    members, group, product = dot.group, PAIR, dot.product
    half = PARTS * group
    halves = members // half

    @tir_script.prim_func(s_tir=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        data_stride, channel_stride, pixel_stride = T.int32(), T.int32(), T.int32()
        A = T.match_buffer(a, (pixels, members), "int8", strides=[data_stride, 1], offset_factor=1)
        B = T.match_buffer(b, (channels, members), "int8", offset_factor=1)
        C = T.match_buffer(
            c,
            (channels, pixels, PARTS),
            "int32",
            strides=[channel_stride, pixel_stride, 1],
            offset_factor=1,
        )
        with T.sblock("root"):
            T.reads(
                C[0:channels, 0:pixels, 0:PARTS], A[0:pixels, 0:members], B[0:channels, 0:members]
            )
            T.writes(C[0:channels, 0:pixels, 0:PARTS])
            for n, p, q, h, g in T.grid(channels, pixels, PARTS, halves, group):
                with T.sblock("update"):
                    vn, vp, vq, vh, vg = T.axis.remap("SSSRR", [n, p, q, h, g])
                    C[vn, vp, vq] = C[vn, vp, vq] + product(
                        A[vp, vh * half + vq * group + vg],
                        B[vn, vh * half + vq * group + vg],
                        "int8",
                    )

    def accumulate(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> None:
        for n in range(channels):
            weights = B.vload([n, 0], f"int8x{members}")
            for pixel in range(pixels):
                data = A.vload([pixel, 0], f"int8x{members}")
                parts = C.vload([n, pixel, 0], f"int32x{PARTS}")
                T.buffer_store(
                    C, dot.emit(parts, [data], [weights], PARTS), [n, pixel, T.ramp(0, 1, PARTS)]
                )

    @tir_script.prim_func(s_tir=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        data_stride, channel_stride, pixel_stride = T.int32(), T.int32(), T.int32()
        A = T.match_buffer(a, (pixels, members), "int8", strides=[data_stride, 1], offset_factor=1)
        B = T.match_buffer(b, (channels, members), "int8", offset_factor=1)
        C = T.match_buffer(
            c,
            (channels, pixels, PARTS),
            "int32",
            strides=[channel_stride, pixel_stride, 1],
            offset_factor=1,
        )
        with T.sblock("root"):
            T.reads(
                C[0:channels, 0:pixels, 0:PARTS], A[0:pixels, 0:members], B[0:channels, 0:members]
            )
            T.writes(C[0:channels, 0:pixels, 0:PARTS])
            accumulate(A, B, C)

    return description, implementation


@cache
def join_parts_pair() -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`join_parts_intrinsic`: (A int32 [4,PARTS], B int32
    [4], in and out)."""
    pixels = PARTS

    @tir_script.prim_func(s_tir=True)
    def description(a: T.handle, b: T.handle) -> None:
        pixel_stride = T.int32()
        A = T.match_buffer(a, (pixels, PARTS), "int32", strides=[pixel_stride, 1], offset_factor=1)
        B = T.match_buffer(b, (pixels,), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(B[0:pixels], A[0:pixels, 0:PARTS])
            T.writes(B[0:pixels])
            for p, q in T.grid(pixels, PARTS):
                with T.sblock("update"):
                    vp, vq = T.axis.remap("SR", [p, q])
                    B[vp] = B[vp] + A[vp, vq]

    def joined(A: tirx.Buffer, B: tirx.Buffer) -> tirx.Expr:
        sums = [A.vload([p, 0], f"int32x{PARTS}") for p in range(pixels)]
        return B.vload([0], f"int32x{pixels}") + _joined(sums)

    @tir_script.prim_func(s_tir=True)
    def implementation(a: T.handle, b: T.handle) -> None:
        pixel_stride = T.int32()
        A = T.match_buffer(a, (pixels, PARTS), "int32", strides=[pixel_stride, 1], offset_factor=1)
        B = T.match_buffer(b, (pixels,), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(B[0:pixels], A[0:pixels, 0:PARTS])
            T.writes(B[0:pixels])
            B[T.ramp(0, 1, pixels)] = joined(A, B)

    return description, implementation


def _joined(sums: Sequence[tirx.Expr]) -> tirx.Expr:
    """int32x4 of four sums in parts."""
    one, two, three, four = sums
    return _add_pairs(_add_pairs(one, two), _add_pairs(three, four))


def _add_pairs(first: tirx.Expr, second: tirx.Expr) -> tirx.Expr:
    """The sums of neighbours in two int32x4. LLVM finds the instruction only where both are sums of
    the same kind."""
    return neon("addp", f"int32x{PARTS}", first, second)
