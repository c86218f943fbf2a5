"""Kernels that only move bytes: nearest-neighbour upsampling and concatenation along channels.

Written as loops, not as one compute: a compute has to choose between the parts for every element,
the loops copy a run of channels from each part in turn. They are in their final form, and have no
schedule.
"""

from __future__ import annotations

from tvm import tirx
from tvm.script import tirx as T

from compile.kernels.common.kernel_function import FAMILY_ATTR
from compile.kernels.common.shallow_stack import on_shallow_stack
from compile.kernels.family import KernelFamily


@on_shallow_stack
def create_upsample(
    data_shape: tuple[int, int, int, int], factor: int, dtype: str
) -> tirx.PrimFunc:
    """The kernel data [1,H,W,C] -> [1,factor*H,factor*W,C], each pixel repeated."""
    _, height, width, channels = data_shape

    @T.prim_func(private=True, s_tir=True)
    def upsample(
        data: T.Buffer((1, height, width, channels), dtype),
        out: T.Buffer((1, height * factor, width * factor, channels), dtype),
    ) -> None:
        T.func_attr({"tirx.noalias": True})
        for y in T.parallel(height * factor):
            for x in T.serial(width * factor):
                for c in T.vectorized(channels):
                    with T.sblock("upsample"):
                        vy, vx, vc = T.axis.remap("SSS", [y, x, c])
                        out[0, vy, vx, vc] = data[0, vy // factor, vx // factor, vc]

    return upsample.with_attr(FAMILY_ATTR, FAMILY.name)


@on_shallow_stack
def create_concat(height: int, width: int, channels: tuple[int, int], dtype: str) -> tirx.PrimFunc:
    """The kernel (left [1,H,W,A], right [1,H,W,B]) -> [1,H,W,A+B]."""
    first, second = channels

    @T.prim_func(private=True, s_tir=True)
    def concat(
        left: T.Buffer((1, height, width, first), dtype),
        right: T.Buffer((1, height, width, second), dtype),
        out: T.Buffer((1, height, width, first + second), dtype),
    ) -> None:
        T.func_attr({"tirx.noalias": True})
        for y in T.parallel(height):
            for x in T.serial(width):
                for c in T.vectorized(first):
                    with T.sblock("left"):
                        vy, vx, vc = T.axis.remap("SSS", [y, x, c])
                        out[0, vy, vx, vc] = left[0, vy, vx, vc]
                for c in T.vectorized(second):
                    with T.sblock("right"):
                        vy, vx, vc = T.axis.remap("SSS", [y, x, c])
                        out[0, vy, vx, first + vc] = right[0, vy, vx, vc]

    return concat.with_attr(FAMILY_ATTR, FAMILY.name)


FAMILY = KernelFamily("move", "copies", schedule=None)
