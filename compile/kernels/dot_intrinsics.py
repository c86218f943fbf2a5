"""Tensor intrinsics of a dot product instruction: a description that can be run, and the code.

Two forms serve all convolutions. Dense ones take one group of the data for all lanes and another
of the weights for each; depthwise ones another of both.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tvm import tirx
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from compile.kernels.dot_product import DotProduct


def broadcast_intrinsic(dot: DotProduct, lanes: int, steps: int, data_dtype: str) -> str:
    """Name of the intrinsic ``C[l] += A[s, :] . B[s, l, :]`` for ``steps`` groups of data in the
    instruction's type or int8, registered."""
    name = f"mqnet.{dot.name}_{lanes}x{steps}_{data_dtype}"
    return _registered(name, lambda: broadcast_pair(dot, lanes, steps, data_dtype))


def lanewise_intrinsic(dot: DotProduct, lanes: int) -> str:
    """Name of the intrinsic ``C[l] += A[l, :] . B[l, :]``, registered."""
    return _registered(f"mqnet.{dot.name}_{lanes}", lambda: lanewise_pair(dot, lanes))


@cache
def broadcast_pair(
    dot: DotProduct, lanes: int, steps: int, data_dtype: str
) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`broadcast_intrinsic`: (A data [steps*group],
    B weights [steps,lanes,group], C int32 [lanes], in and out)."""
    group, weight_dtype, product = dot.group, dot.weight_dtype, dot.product

    @T.prim_func(s_tir=True)
    def description(
        A: T.Buffer((steps * group,), data_dtype, offset_factor=1),
        B: T.Buffer((steps, lanes, group), weight_dtype, offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0 : steps * group], B[0:steps, 0:lanes, 0:group])
            T.writes(C[0:lanes])
            for lane, k in T.grid(lanes, steps * group):
                with T.sblock("update"):
                    vl, vk = T.axis.remap("SR", [lane, k])
                    C[vl] = C[vl] + product(A[vk], B[vk // group, vl, vk % group], data_dtype)

    def total(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> tirx.Expr:
        # One load for all steps: the instruction may take any group out of a register.
        data = A.vload([0], f"{data_dtype}x{steps * group}")
        groups = T.reinterpret(data, dtype=f"int32x{steps}" if steps > 1 else "int32")
        result = C.vload([0], f"int32x{lanes}")
        for step in range(steps):
            one = tirx.Shuffle([groups], [step]) if steps > 1 else groups
            if data_dtype == "int8":
                # Before it is broadcast: LLVM 22 loops forever over the other order.
                one = dot.shifted(one)
            weights = B.vload([step, 0, 0], f"{weight_dtype}x{lanes * group}")
            result = dot.emit(result, T.broadcast(one, lanes), weights, lanes)
        return result

    @T.prim_func(s_tir=True)
    def implementation(
        A: T.Buffer((steps * group,), data_dtype, offset_factor=1),
        B: T.Buffer((steps, lanes, group), weight_dtype, offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0 : steps * group], B[0:steps, 0:lanes, 0:group])
            T.writes(C[0:lanes])
            C[T.ramp(0, 1, lanes)] = total(A, B, C)

    return description, implementation


@cache
def lanewise_pair(dot: DotProduct, lanes: int) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`lanewise_intrinsic`: (A int32 [lanes], a word of the
    group in each, B weights [lanes,group], C int32 [lanes], in and out)."""
    group, weight_dtype, product, member = dot.group, dot.weight_dtype, dot.product, dot.member

    @T.prim_func(s_tir=True)
    def description(
        A: T.Buffer((lanes,), "int32", offset_factor=1),
        B: T.Buffer((lanes, group), weight_dtype, offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:lanes], B[0:lanes, 0:group])
            T.writes(C[0:lanes])
            for lane, g in T.grid(lanes, group):
                with T.sblock("update"):
                    vl, vg = T.axis.remap("SR", [lane, g])
                    C[vl] = C[vl] + product(member(A[vl], vg), B[vl, vg], "int8")

    def total(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> tirx.Expr:
        words, accumulator = (buffer.vload([0], f"int32x{lanes}") for buffer in (A, C))
        weights = B.vload([0, 0], f"{weight_dtype}x{lanes * group}")
        return dot.emit(accumulator, dot.shifted(words), weights, lanes)

    @T.prim_func(s_tir=True)
    def implementation(
        A: T.Buffer((lanes,), "int32", offset_factor=1),
        B: T.Buffer((lanes, group), weight_dtype, offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:lanes], B[0:lanes, 0:group])
            T.writes(C[0:lanes])
            C[T.ramp(0, 1, lanes)] = total(A, B, C)

    return description, implementation


def _registered(name: str, pair: Callable[[], tuple[tirx.PrimFunc, tirx.PrimFunc]]) -> str:
    if TensorIntrin.get(name, allow_missing=True) is None:
        TensorIntrin.register(name, *pair())
    return name
