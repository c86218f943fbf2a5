"""Dense 3x3 convolution of int8 with few outputs, to rows of planes, [1,H,C,W], by the Winograd
transform: see :mod:`compile.kernels.cpu.int8.winograd`.

Lanes are output channels as in :mod:`compile.kernels.cpu.int8.winograd_conv`, up to the finished
values. The four neighbours of a tile's row by the channels of a register are then turned around: a
vector of each channel's plane.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import s_tir, te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, padding_value
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.tiling import divisors, largest_divisor
from compile.kernels.common.window import Window
from compile.kernels.cpu.fused_neighbours import STATISTICS_BEHIND, place_neighbours
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product, packed_shape
from compile.kernels.cpu.int8.winograd import (
    RESULTS,
    TAPS,
    accumulator,
    transform_sums,
    transform_weight,
)
from compile.kernels.cpu.int8.winograd_conv import one_of, tiles_of, value_of, winograd_sums
from compile.kernels.cpu.int8.winograd_schedule import (
    HALF,
    Configuration,
    Places,
    place_transforms,
    read_extents,
)
from compile.kernels.family import KernelFamily

#: With fewer channels, the transforms take as long as the multiplications that they save.
_FEWEST_CHANNELS = 12

#: Tiles of a row that the default configuration transforms together.
_TILES = 16

#: Tiles in registers of the default configuration, and the most of any.
_PIXELS, _MOST_PIXELS = 4, 8

#: Registers for data and for what comes next.
_AHEAD = 4


def serves_planar_winograd(
    size: tuple[int, int],
    weight_shape: tuple[int, ...],
    window: Window,
    pairs: DotProduct,
    core: CpuCore,
) -> bool:
    """Whether there is a kernel for OIHW weights and a result of ``size`` rows and columns, by an
    instruction on ``pairs``, and it pays: vectors of channels fill half of a register at least. Not
    where planes may be computed twice instead of being kept: that schedule is of another kernel."""
    channels, channels_in = weight_shape[:2]
    lanes = pairs.find_dividing_lanes(channels)
    return (
        window == Window((3, 3), (1, 1), window.padding)
        and size[0] % RESULTS == size[1] % RESULTS == 0
        and min(channels, channels_in) >= _FEWEST_CHANNELS
        and channels_in % pairs.group == 0
        and lanes is not None
        and 2 * lanes >= pairs.lanes[0]
        and core.recompute_bytes is None
    )


def create_planar_winograd_conv(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    window: Window,
    pairs: DotProduct,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight as :func:`pack_planar_winograd` has it, epilogue
    operands) -> [1,OH,O,OW], where :func:`serves_planar_winograd` says that there is one.

    Beyond the edge stands the data's zero point.
    """
    channels_in, pairs = data_shape[3], pairs.on_dividing_lanes(channels_out)
    data = te.placeholder(data_shape, "int8", name="data")
    packed = packed_shape(channels_out, (TAPS * TAPS, 1), channels_in, pairs)
    weight = te.placeholder(packed, pairs.weight_dtype, name="weight")
    operands = epilogue.operands(channels_out, "int32")
    finish = epilogue.apply(operands)
    operand = window.pad(data, padding_value("int8", operands), name="operand")

    def padded(y: tirx.Expr, x: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
        return pairs.widened(operand[0, y, x, k])

    sums = winograd_sums(padded, channels_in, data_shape, window, weight, pairs, channels_out, {})

    def finished(t: tirx.Expr, i: tirx.Expr, u: tirx.Expr, j: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        totals = transform_sums([value_of(sums, 0, 0, t, i, c, u, n) for c in range(TAPS)])
        return finish(accumulator(one_of(j, totals)), n)

    down, across = tiles_of(window, data_shape)
    shape = down, RESULTS, across, RESULTS, channels_out
    values = te.compute(shape, finished, name="finished")

    def planes(b: tirx.Expr, y: tirx.Expr, n: tirx.Expr, x: tirx.Expr) -> tirx.Expr:
        return values[y // RESULTS, y % RESULTS, x // RESULTS, x % RESULTS, n].asobject()

    rows, columns = window.output_size(*data_shape[1:3])
    out = te.compute((1, rows, channels_out, columns), planes, name="epilogue")
    macs = rows * columns * channels_out * prod(window.kernel) * channels_in
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs)


def pack_planar_winograd(weight: NDArray[np.int8], pairs: DotProduct) -> NDArray:
    """OIHW ``weight`` transformed, in vectors of output channels."""
    return pack_for_dot_product(transform_weight(weight), pairs.on_dividing_lanes(len(weight)))


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    extents = read_extents(sch, core)
    return [
        Configuration(pixels, vectors, rows, columns, numbers)
        for rows in divisors(extents.rows, max(1, extents.rows // core.threads))
        for columns in divisors(extents.columns, 4 * _TILES)
        for pixels in divisors(columns, _MOST_PIXELS)
        for vectors in divisors(extents.vectors, core.registers // pixels)
        for numbers in (1, HALF)
        if numbers * pixels * vectors + vectors < core.registers
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """Of few input channels, the weights of a number for one vector of channels stay in registers
    for all tiles of a block. Where these are too few, all channels of a few tiles, whose data is
    loaded once."""
    extents = read_extents(sch, core)
    pixels = largest_divisor(extents.columns, _PIXELS)
    weights = extents.groups * extents.pairs.group // 2
    if weights + pixels + _AHEAD <= core.registers // 2:
        vectors, columns = 1, largest_divisor(extents.columns // pixels, _TILES // pixels) * pixels
    else:
        room = (core.registers - _AHEAD) // pixels
        vectors, columns = largest_divisor(extents.vectors, max(1, room)), pixels
    rows = largest_divisor(extents.rows, max(1, extents.rows // (4 * core.threads)))
    return Configuration(pixels, vectors, rows, columns)


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Rows of tiles to threads; in a row, blocks of tiles, and in those channels outside; cut by
    the default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    lanes = read_extents(sch, core).lanes
    epilogue, finished = sch.get_sblock("epilogue"), sch.get_sblock("finished")
    _, row, channel, column = sch.get_loops(epilogue)
    task, row, i = sch.split(row, [None, configuration.rows, RESULTS])
    block, column, j = sch.split(column, [None, configuration.columns, RESULTS])
    outer, vector, lane = sch.split(channel, [None, configuration.vectors, lanes])
    sch.reorder(task, row, block, outer, column, vector, i, lane, j)
    sch.parallel(task)
    sch.compute_at(finished, i, preserve_unit_loops=True)
    *_, pixel, channel = sch.get_loops(finished)
    for loop in (i, lane, pixel):
        sch.unroll(loop)
    for loop in (channel, j):
        sch.vectorize(loop)
    place_neighbours(sch, row, core)
    place_transforms(sch, core, configuration, Places(block, block, block, outer, vector))


FAMILY = KernelFamily(
    "planar_winograd_conv",
    "3x3 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
    fusion=STATISTICS_BEHIND,
)
