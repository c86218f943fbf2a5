"""Tensor intrinsics of kernels whose pixels are the lanes: a description that can be run, and code.

A dot product instruction does not care which side is the feature map: here a vector holds a group
of channels of neighbouring pixels, and one group of weights serves all of its lanes.
"""

from __future__ import annotations

from functools import cache

import tvm
from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.common import tir_script
from compile.kernels.cpu.instructions.dot_intrinsics import registered
from compile.kernels.cpu.instructions.dot_product import DotProduct


def planar_tile_intrinsic(dot: DotProduct, channels: int, lanes: int) -> str:
    """Name of the intrinsic ``C[n, l] += A[l * group :] . B[n, :]``, registered."""
    name = f"mqnet.{dot.name}_planar_{channels}x{lanes}"
    return registered(name, lambda: planar_tile_pair(dot, channels, lanes))


def interleave_intrinsic(channels: int, lanes: int) -> str:
    """Name of the intrinsic ``B[l, c] = A[c, l]`` of float32, registered."""
    name = f"mqnet.interleave_{channels}x{lanes}"
    return registered(name, lambda: interleave_pair(channels, lanes))


def split_groups_intrinsic(dtype: str, groups: int, group: int, lanes: int) -> str:
    """Name of the intrinsic ``B[k, l * group :] = A[l, k * group :]`` of ``dtype``, registered."""
    name = f"mqnet.split_{dtype}_{groups}x{group}x{lanes}"
    return registered(name, lambda: split_groups_pair(dtype, groups, group, lanes))


def weights_per_load(dot: DotProduct, channels: int) -> int:
    """Channels whose weights one load brings in, of a tile of ``channels``."""
    steps = dot.steps if dot.steps_together is None else (4, 2, 1)
    return next(n for n in steps if channels % n == 0)


@cache
def planar_tile_pair(
    dot: DotProduct, channels: int, lanes: int
) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`planar_tile_intrinsic`: (A data of the instruction's
    type [lanes*group], B weights [channels,group], C int32 [channels,lanes], in and out)."""
    group, data_dtype, weight_dtype = dot.group, dot.data_dtype, dot.weight_dtype
    product, members = dot.product, dot.group * lanes
    # Of so many weights that one load brings in, the instruction can take any one for all lanes.
    loaded = weights_per_load(dot, channels)

    @tir_script.prim_func(s_tir=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        result_stride = T.int32()
        A = T.match_buffer(a, (members,), data_dtype, offset_factor=1)
        B = T.match_buffer(b, (channels, group), weight_dtype, offset_factor=1)
        C = T.match_buffer(
            c, (channels, lanes), "int32", strides=[result_stride, 1], offset_factor=1
        )
        with T.sblock("root"):
            T.reads(C[0:channels, 0:lanes], A[0:members], B[0:channels, 0:group])
            T.writes(C[0:channels, 0:lanes])
            for n, lane, g in T.grid(channels, lanes, group):
                with T.sblock("update"):
                    vn, vl, vg = T.axis.remap("SSR", [n, lane, g])
                    C[vn, vl] = C[vn, vl] + product(A[vl * group + vg], B[vn, vg], data_dtype)

    def accumulate(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> None:
        data = A.vload([0], f"{data_dtype}x{members}")
        for n in range(channels):
            which = n % loaded
            load = B.vload([n - which, 0], f"{weight_dtype}x{group * loaded}")
            groups = T.reinterpret(load, dtype=f"int32x{loaded}" if loaded > 1 else "int32")
            word = tirx.Shuffle([groups], [which]) if loaded > 1 else groups
            one = T.broadcast(word, lanes)
            if data_dtype == weight_dtype:
                # It takes either for the other, and one for all lanes only as its data.
                words, vector = one, data
            else:
                words = T.reinterpret(data, dtype=f"int32x{lanes}")
                vector = T.reinterpret(one, dtype=f"{weight_dtype}x{members}")
            total = dot.emit(C.vload([n, 0], f"int32x{lanes}"), [words], [vector], lanes)
            T.buffer_store(C, total, [n, T.ramp(0, 1, lanes)])

    @tir_script.prim_func(s_tir=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        result_stride = T.int32()
        A = T.match_buffer(a, (members,), data_dtype, offset_factor=1)
        B = T.match_buffer(b, (channels, group), weight_dtype, offset_factor=1)
        C = T.match_buffer(
            c, (channels, lanes), "int32", strides=[result_stride, 1], offset_factor=1
        )
        with T.sblock("root"):
            T.reads(C[0:channels, 0:lanes], A[0:members], B[0:channels, 0:group])
            T.writes(C[0:channels, 0:lanes])
            accumulate(A, B, C)

    return description, implementation


def planar_steps_intrinsic(dot: DotProduct, channels: int, lanes: int) -> str:
    """Name of the intrinsic ``C[n, l] += A[:, l * group :] . B[n, :]`` for an instruction that
    takes ``steps_together``, registered."""
    name = f"mqnet.{dot.name}_planar_{channels}x{lanes}"
    return registered(name, lambda: planar_steps_pair(dot, channels, lanes))


@cache
def planar_steps_pair(
    dot: DotProduct, channels: int, lanes: int
) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`planar_steps_intrinsic`: (A data of the
    instruction's type [steps,lanes*group], B weights [channels,steps*group], C int32
    [channels,lanes], in and out)."""
    assert dot.steps_together is not None and dot.spread is not None
    group, data_dtype, weight_dtype, steps = (
        dot.group,
        dot.data_dtype,
        dot.weight_dtype,
        dot.steps_together,
    )
    product, members, spread = dot.product, group * lanes, dot.spread
    loaded = weights_per_load(dot, channels)

    @tir_script.prim_func(s_tir=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        plane_stride, result_stride = T.int32(), T.int32()
        A = T.match_buffer(
            a, (steps, members), data_dtype, strides=[plane_stride, 1], offset_factor=1
        )
        B = T.match_buffer(b, (channels, steps * group), weight_dtype, offset_factor=1)
        C = T.match_buffer(
            c, (channels, lanes), "int32", strides=[result_stride, 1], offset_factor=1
        )
        with T.sblock("root"):
            T.reads(C[0:channels, 0:lanes], A[0:steps, 0:members], B[0:channels, 0 : steps * group])
            T.writes(C[0:channels, 0:lanes])
            for n, lane, step, g in T.grid(channels, lanes, steps, group):
                with T.sblock("update"):
                    vn, vl, vs, vg = T.axis.remap("SSRR", [n, lane, step, g])
                    C[vn, vl] = C[vn, vl] + product(
                        A[vs, vl * group + vg], B[vn, vs * group + vg], data_dtype
                    )

    def accumulate(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> None:
        planes = [A.vload([step, 0], f"{data_dtype}x{members}") for step in range(steps)]
        data = tirx.Shuffle(planes, list(range(steps * members)))
        for n in range(channels):
            which = n % loaded
            load = B.vload([n - which, 0], f"{weight_dtype}x{steps * group * loaded}")
            # It takes either for the other.
            weights = spread(load, steps * which, steps)
            total = dot.emit(C.vload([n, 0], f"int32x{lanes}"), [data], [weights], lanes)
            T.buffer_store(C, total, [n, T.ramp(0, 1, lanes)])

    @tir_script.prim_func(s_tir=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        plane_stride, result_stride = T.int32(), T.int32()
        A = T.match_buffer(
            a, (steps, members), data_dtype, strides=[plane_stride, 1], offset_factor=1
        )
        B = T.match_buffer(b, (channels, steps * group), weight_dtype, offset_factor=1)
        C = T.match_buffer(
            c, (channels, lanes), "int32", strides=[result_stride, 1], offset_factor=1
        )
        with T.sblock("root"):
            T.reads(C[0:channels, 0:lanes], A[0:steps, 0:members], B[0:channels, 0 : steps * group])
            T.writes(C[0:channels, 0:lanes])
            accumulate(A, B, C)

    return description, implementation


@cache
def interleave_pair(channels: int, lanes: int) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`interleave_intrinsic`: (A float32 [channels,lanes],
    B float32 [lanes,channels])."""
    order = [c * lanes + lane for lane in range(lanes) for c in range(channels)]

    @tir_script.prim_func(s_tir=True)
    def description(a: T.handle, b: T.handle) -> None:
        plane_stride = T.int32()
        A = T.match_buffer(
            a, (channels, lanes), "float32", strides=[plane_stride, 1], offset_factor=1
        )
        B = T.match_buffer(b, (lanes, channels), "float32", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:channels, 0:lanes])
            T.writes(B[0:lanes, 0:channels])
            for lane, c in T.grid(lanes, channels):
                with T.sblock("interleave"):
                    vl, vc = T.axis.remap("SS", [lane, c])
                    B[vl, vc] = A[vc, vl]

    def interleaved(A: tirx.Buffer) -> tirx.Expr:
        return tirx.Shuffle([A.vload([c, 0], f"float32x{lanes}") for c in range(channels)], order)

    @tir_script.prim_func(s_tir=True)
    def implementation(a: T.handle, b: T.handle) -> None:
        plane_stride = T.int32()
        A = T.match_buffer(
            a, (channels, lanes), "float32", strides=[plane_stride, 1], offset_factor=1
        )
        B = T.match_buffer(b, (lanes, channels), "float32", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:channels, 0:lanes])
            T.writes(B[0:lanes, 0:channels])
            B[0, T.ramp(0, 1, lanes * channels)] = interleaved(A)

    return description, implementation


@cache
def split_groups_pair(
    dtype: str, groups: int, group: int, lanes: int
) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`split_groups_intrinsic`: (A ``dtype``
    [lanes,groups*group], B ``dtype`` [groups,lanes*group])."""
    members = lanes * group
    word = f"int{tvm.DataType(dtype).bits * group}"

    @tir_script.prim_func(s_tir=True)
    def description(a: T.handle, b: T.handle) -> None:
        plane_stride = T.int32()
        A = T.match_buffer(a, (lanes, groups * group), dtype, offset_factor=1)
        B = T.match_buffer(b, (groups, members), dtype, strides=[plane_stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:lanes, 0 : groups * group])
            T.writes(B[0:groups, 0:members])
            for k, member in T.grid(groups, members):
                with T.sblock("split"):
                    vk, vm = T.axis.remap("SS", [k, member])
                    B[vk, vm] = A[vm // group, vk * group + vm % group]

    def store_planes(A: tirx.Buffer, B: tirx.Buffer) -> None:
        data = A.vload([0, 0], f"{dtype}x{groups * members}")
        words = T.reinterpret(data, dtype=f"{word}x{lanes * groups}")
        for k in range(groups):
            plane = tirx.Shuffle([words], [lane * groups + k for lane in range(lanes)])
            value = T.reinterpret(plane, dtype=f"{dtype}x{members}")
            T.buffer_store(B, value, [k, T.ramp(0, 1, members)])

    @tir_script.prim_func(s_tir=True)
    def implementation(a: T.handle, b: T.handle) -> None:
        plane_stride = T.int32()
        A = T.match_buffer(a, (lanes, groups * group), dtype, offset_factor=1)
        B = T.match_buffer(b, (groups, members), dtype, strides=[plane_stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:lanes, 0 : groups * group])
            T.writes(B[0:groups, 0:members])
            store_planes(A, B)

    return description, implementation
