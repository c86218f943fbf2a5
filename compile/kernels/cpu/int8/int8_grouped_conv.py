"""Convolution in groups, of int8 by a dot product instruction, NHWC: a dense one for each group.

The channels of a group stand together in the packed data and in the accumulators, so that a tile
lies in one group and its data is shared by all of its vectors, as in a dense convolution.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import s_tir, te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, padding_value
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import finish_in_registers
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import annotated_dot_product
from compile.kernels.cpu.int8.int8_conv import Configuration, configurations_for, default_for
from compile.kernels.cpu.int8.int8_loops import (
    DOT_PRODUCT_ATTR,
    STRIDE_ATTR,
    PackedExtents,
    accumulate_dot_products,
    take_annotations,
    vectorize_operand,
)
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product, packed_at, packed_shape
from compile.kernels.family import KernelFamily

_WINDOW_AXES = 2


def serves_grouped(weight_shape: tuple[int, ...], groups: int, dot: DotProduct) -> bool:
    """Whether vectors of ``dot`` fill the outputs of each of the ``groups``, weights OIHW."""
    return dot.find_dividing_lanes(weight_shape[0] // groups) is not None


def pack_grouped(weight: NDArray[np.int8], groups: int, dot: DotProduct) -> NDArray:
    """OIHW ``weight``, each group by itself as :mod:`compile.kernels.cpu.int8.packed_weight` has
    it, in vectors that divide a group's outputs."""
    dot = dot.on_dividing_lanes(len(weight) // groups)
    return np.stack([pack_for_dot_product(part, dot) for part in np.split(weight, groups)])


def create_int8_grouped_conv(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    groups: int,
    window: Window,
    dot: DotProduct,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight as :func:`pack_grouped` gives it, epilogue operands)
    -> [1,OH,OW,O].

    Beyond the edge stands the data's zero point, so that its share of the accumulator is the
    constant that the packer has folded into the bias.
    """
    _, height, width, channels_in = data_shape
    inputs, outputs = channels_in // groups, channels_out // groups
    lanes, packed = dot.dividing_lanes(outputs), -(-inputs // dot.group) * dot.group
    shape = packed_shape(outputs, window.kernel, inputs, dot.on_dividing_lanes(outputs))
    data = te.placeholder(data_shape, "int8", name="data")
    weight = te.placeholder((groups, *shape), dot.weight_dtype, name="weight")
    operands = epilogue.operands(channels_out, "int32")
    finish = epilogue.apply(operands)
    value = padding_value("int8", operands)
    top, left, bottom, right = window.padding

    def padded(y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        # The weights behind a group's last channel are zero: what they multiply does not matter.
        group, channel = c // packed, c % packed
        source = group * inputs + channel if packed > inputs else c
        inside = tirx.all(y >= top, y < height + top, x >= left, x < width + left)
        if packed > inputs:
            inside = tirx.all(inside, channel < inputs)
        return dot.widened(tirx.if_then_else(inside, data[0, y - top, x - left, source], value))

    operand = te.compute(
        (height + top + bottom, width + left + right, groups * packed), padded, name="operand"
    )
    ky = te.reduce_axis((0, window.kernel[0]), name="ky")
    kx = te.reduce_axis((0, window.kernel[1]), name="kx")
    k = te.reduce_axis((0, packed), name="k")

    def multiply(g: tirx.Expr, y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        value = operand[(*window.position(y, x, ky, kx), g * packed + k)]
        by = packed_at(weight, dot, (n // lanes, n % lanes), (ky, kx), k, of=(g,))
        return te.sum(dot.product(value, by, dot.data_dtype), axis=[ky, kx, k])

    size = window.output_size(height, width)
    attrs = {DOT_PRODUCT_ATTR: dot.name, STRIDE_ATTR: window.stride[1]}
    conv = te.compute((groups, *size, outputs), multiply, name="conv", attrs=attrs)
    out = te.compute(
        (1, *size, channels_out),
        lambda b, y, x, c: finish(conv[c // outputs, y, x, c % outputs], c),
        name="epilogue",
    )
    macs = prod(size) * channels_out * prod(window.kernel) * inputs
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs)


def _extents(sch: s_tir.Schedule, core: CpuCore) -> PackedExtents:
    """Of one group."""
    conv = sch.get(sch.get_sblock("conv"))
    _, rows, columns, channels, *_, k = (int(axis.dom.extent) for axis in conv.iter_vars)
    dot = annotated_dot_product(conv.annotations[DOT_PRODUCT_ATTR], core.bits)
    return PackedExtents(
        rows, columns, channels, k // dot.group, dot, int(conv.annotations[STRIDE_ATTR])
    )


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    return configurations_for(_extents(sch, core), core)


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The tile with the fewest loads."""
    return default_for(_extents(sch, core), core)


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows to threads, columns and channels of one group to registers; cut by the default
    configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    extents = _extents(sch, core)
    dot = extents.dot
    tile = configuration.tile(extents, dot.dividing_lanes(extents.channels))
    epilogue, conv, operand = (sch.get_sblock(n) for n in ("epilogue", "conv", "operand"))
    take_annotations(sch, conv)
    _, row, column, channel = sch.get_loops(epilogue)
    task, row = sch.split(row, [None, configuration.rows])
    outer_column, column = sch.split(column, [None, tile.pixels])
    group, channel = sch.split(channel, [None, extents.channels])
    outer, channel = sch.split(channel, [None, tile.vectors * tile.lanes])
    tiles = [outer, outer_column] if configuration.channels_outside else [outer_column, outer]
    sch.reorder(task, row, group, *tiles, column, channel)
    sch.compute_at(conv, tiles[-1], preserve_unit_loops=True)
    sch.compute_at(operand, task, preserve_unit_loops=True)
    sch.parallel(task)
    vectorize_operand(sch, operand, core)
    finish_in_registers(sch, epilogue, tile.lanes)
    loops = sch.get_loops(conv)
    first = len(loops) - _WINDOW_AXES - 1
    accumulate_dot_products(sch, conv, dot, tile, loops[first - 2], loops[first - 1])


FAMILY = KernelFamily(
    "grouped_conv",
    "grouped convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
)
