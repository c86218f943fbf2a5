"""Kernels that only move bytes: nearest-neighbour upsampling, concatenation along channels, depth
to space, and borders.

Written as loops, not as one compute: a compute has to choose between the parts for every element,
the loops copy a run of channels from each part in turn. They are in their final form, and have no
schedule.
"""

from __future__ import annotations

from collections.abc import Sequence

from tvm import tirx
from tvm.script import tirx as T
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script.builder import ir as B

from compile.kernels.common import tir_script
from compile.kernels.common.border import Border
from compile.kernels.common.kernel_function import FAMILY_ATTR
from compile.kernels.family import KernelFamily


def create_upsample(
    data_shape: tuple[int, int, int, int], factor: int, dtype: str
) -> tirx.PrimFunc:
    """The kernel data [1,H,W,C] -> [1,factor*H,factor*W,C], each pixel repeated."""
    _, height, width, channels = data_shape

    @tir_script.prim_func(private=True, s_tir=True)
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


def create_concat(height: int, width: int, channels: Sequence[int], dtype: str) -> tirx.PrimFunc:
    """The kernel (parts [1,H,W,C_i], one for each of ``channels``) -> [1,H,W,sum of C_i]."""
    with IRBuilder() as builder, B.prim_func(is_private=True, s_tir=True):
        parts = [
            B.arg(f"part{number}", B.buffer((1, height, width, extent), dtype, layout=None))
            for number, extent in enumerate(channels)
        ]
        out = B.arg("out", B.buffer((1, height, width, sum(channels)), dtype, layout=None))
        B.func_attr({"tirx.noalias": True})
        with B.parallel(height) as y, B.serial(width) as x:
            offset = 0
            for number, (part, extent) in enumerate(zip(parts, channels, strict=True)):
                with B.vectorized(extent) as c, B.sblock(f"part{number}"):
                    vy, vx, vc = B.axis.remap("SSS", [y, x, c])
                    B.buffer_store(out, part[0, vy, vx, vc], [0, vy, vx, vc + offset])
                offset += extent
    return builder.get().with_attr(FAMILY_ATTR, FAMILY.name)


def create_depth_to_space(
    data_shape: tuple[int, int, int, int], factor: int, channels_together: bool, dtype: str
) -> tirx.PrimFunc:
    """The kernel data [1,H,W,factor*factor*C] -> [1,factor*H,factor*W,C].

    Row and column of a block of pixels are taken from channel (row * factor + column) * C + c where
    ``channels_together``, else, in PyTorch's order, from (c * factor + row) * factor + column.
    """
    _, height, width, depth = data_shape
    channels = depth // factor**2
    out_shape = (1, height * factor, width * factor, channels)
    with IRBuilder() as builder, B.prim_func(is_private=True, s_tir=True):
        data = B.arg("data", B.buffer(data_shape, dtype, layout=None))
        out = B.arg("out", B.buffer(out_shape, dtype, layout=None))
        B.func_attr({"tirx.noalias": True})
        with (
            B.parallel(height * factor) as y,
            B.serial(width) as x,
            B.serial(factor) as column,
            B.vectorized(channels) as c,
            B.sblock("depth_to_space"),
        ):
            vy, vx, vj, vc = B.axis.remap("SSSS", [y, x, column, c])
            place = vy % factor * factor + vj
            source = place * channels + vc if channels_together else vc * factor**2 + place
            B.buffer_store(out, data[0, vy // factor, vx, source], [0, vy, vx * factor + vj, vc])
    return builder.get().with_attr(FAMILY_ATTR, FAMILY.name)


def create_channel_shuffle(shape: tuple[int, ...], groups: int, dtype: str) -> tirx.PrimFunc:
    """The kernel data [1,H,W,C] -> the same shape: channel c of group g becomes c * groups + g.

    Neither loop over channels is vectorized: LLVM weaves runs of bytes together, where vectors of
    TVM's would gather them one by one.
    """
    _, height, width, channels = shape
    run = channels // groups
    with IRBuilder() as builder, B.prim_func(is_private=True, s_tir=True):
        data = B.arg("data", B.buffer(shape, dtype, layout=None))
        out = B.arg("out", B.buffer(shape, dtype, layout=None))
        B.func_attr({"tirx.noalias": True})
        with (
            B.parallel(height) as y,
            B.serial(width) as x,
            B.serial(run) as c,
            B.unroll(groups) as g,
            B.sblock("channel_shuffle"),
        ):
            vy, vx, vc, vg = B.axis.remap("SSSS", [y, x, c, g])
            B.buffer_store(out, data[0, vy, vx, vg * run + vc], [0, vy, vx, vc * groups + vg])
    return builder.get().with_attr(FAMILY_ATTR, FAMILY.name)


def create_bordered(
    data_shape: tuple[int, int, int, int], border: Border, dtype: str
) -> tirx.PrimFunc:
    """The kernel data [1,H,W,C] -> [1,OH,OW,C] with ``border`` around it."""
    _, height, width, channels = data_shape
    rows, columns = border.output_size(height, width)
    with IRBuilder() as builder, B.prim_func(is_private=True, s_tir=True):
        data = B.arg("data", B.buffer(data_shape, dtype, layout=None))
        out = B.arg("out", B.buffer((1, rows, columns, channels), dtype, layout=None))
        B.func_attr({"tirx.noalias": True})
        with (
            B.parallel(rows) as y,
            B.serial(columns) as x,
            B.vectorized(channels) as c,
            B.sblock("border"),
        ):
            vy, vx, vc = B.axis.remap("SSS", [y, x, c])
            element = border.element(
                lambda row, column: data[0, row, column, vc], vy, vx, (height, width)
            )
            B.buffer_store(out, element, [0, vy, vx, vc])
    return builder.get().with_attr(FAMILY_ATTR, FAMILY.name)


FAMILY = KernelFamily("move", "copies", schedule=None)
