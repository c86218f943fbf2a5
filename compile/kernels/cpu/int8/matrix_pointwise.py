"""1x1 convolution of int8 by smmla, NHWC: a product of 2x8 by 8x2 matrices.

The data of a block of pixels is brought into pairs once; the sums of pixel pairs by channel pairs
stay in registers, where the epilogue puts them back into rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import s_tir, te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import AccumulatorStart, create_kernel
from compile.kernels.common.register_loops import finish_in_registers, keep_in_registers
from compile.kernels.common.tiling import divisors, pixel_blocks, pixels_per_task
from compile.kernels.cpu.instructions.arm_smmla import GROUP, SIDE, smmla_intrinsic
from compile.kernels.cpu.int8.int8_loops import MOST_BYTES, separate_start
from compile.kernels.family import KernelFamily

#: With fewer outputs, bringing the data into pairs takes as long as sdot does for the products.
_FEWEST_CHANNELS = 32

#: Channels that are narrowed to bytes and stored at once: of a tile, at least.
_STORED_CHANNELS = 8


def serves_matrix(channels_out: int, columns: int) -> bool:
    """Whether there is a kernel for an output of so many channels and columns, and it pays. The
    smallest tile has two pairs of both: TVM does not match an intrinsic whose loops have one
    iteration."""
    smallest = 2 * SIDE
    return channels_out >= _FEWEST_CHANNELS and channels_out % smallest == columns % smallest == 0


def create_matrix_pointwise(
    data_shape: tuple[int, int, int, int], channels_out: int, epilogue: ConvEpilogue
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight as :func:`pack_matrix` has it, epilogue operands) ->
    [1,H,W,O], where :func:`serves_matrix` says that there is one."""
    _, height, width, channels_in = data_shape
    groups = -(-channels_in // GROUP)
    data = te.placeholder(data_shape, "int8", name="data")
    shape = (channels_out // SIDE, groups, SIDE * GROUP)
    weight = te.placeholder(shape, "int8", name="weight")
    operands = epilogue.operands(channels_out, "int32")
    bias = epilogue.start(operands)
    assert bias is not None  # Of int32 sums there is always one.
    start = AccumulatorStart("conv", bias, lambda y, p, v, s: (v * SIDE + s % SIDE,))
    finish = epilogue.apply(operands, is_started=True)

    def paired(y: tirx.Expr, p: tirx.Expr, k: tirx.Expr, m: tirx.Expr) -> tirx.Expr:
        # The weights behind the last channel are zero: what they multiply does not matter.
        channel = k * GROUP + m % GROUP
        value = data[0, y, p * SIDE + m // GROUP, channel]
        return tirx.if_then_else(channel < channels_in, value, tirx.const(0, "int8"))

    pairs = te.compute((height, width // SIDE, groups, SIDE * GROUP), paired, name="pairs")
    k = te.reduce_axis((0, groups), name="k")
    g = te.reduce_axis((0, GROUP), name="g")

    def multiply(y: tirx.Expr, p: tirx.Expr, v: tirx.Expr, s: tirx.Expr) -> tirx.Expr:
        value = pairs[y, p, k, s // SIDE * GROUP + g].astype("int32")
        product = value * weight[v, k, s % SIDE * GROUP + g].astype("int32")
        return te.sum(product, axis=[k, g], init=start.value(y, p, v, s))

    sums = (height, width // SIDE, channels_out // SIDE, SIDE * SIDE)
    conv = te.compute(sums, multiply, name="conv")
    out = te.compute(
        (1, height, width, channels_out),
        lambda b, y, x, n: finish(conv[y, x // SIDE, n // SIDE, x % SIDE * SIDE + n % SIDE], n),
        name="epilogue",
    )
    macs = height * width * channels_in * channels_out
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs, [start])


def pack_matrix(weight: NDArray[np.int8]) -> NDArray[np.int8]:
    """OI11 ``weight`` as [O/2,I/8,2*8], zeros behind the last input channels."""
    channels_out, channels_in = weight.shape[:2]
    groups = -(-channels_in // GROUP)
    padded = np.pad(weight[:, :, 0, 0], [(0, 0), (0, groups * GROUP - channels_in)])
    split = padded.reshape(channels_out // SIDE, SIDE, groups, GROUP).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(split.reshape(channels_out // SIDE, groups, SIDE * GROUP))


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        pairs, vectors: of the register tile: so many pairs of pixels by pairs of channels.
        rows, columns: of the block of pixels that one task takes.
    """

    pairs: int
    vectors: int
    rows: int
    columns: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    rows, pairs, vectors, _ = _sizes(sch)
    return [
        Configuration(*tile, *block)
        for tile in _tiles(pairs, vectors, core.registers)
        for block in pixel_blocks(rows, pairs * SIDE, tile[0] * SIDE, core)
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The tile with the fewest loads that fills whole stores, and blocks that fit the level 1
    cache."""
    rows, pairs, vectors, groups = _sizes(sch)
    # Beside the accumulators: the data of the tile, and one vector of weights.
    tiles = [
        (p, v) for p, v in _tiles(pairs, vectors, core.registers) if p * v + p + 1 <= core.registers
    ]
    whole = [(p, v) for p, v in tiles if v * SIDE % _STORED_CHANNELS == 0] or tiles
    tile = min(whole, key=lambda tile: sum(tile) / (tile[0] * tile[1]))
    block = pixels_per_task(rows, pairs * SIDE, tile[0] * SIDE, groups * GROUP, core)
    return Configuration(*tile, *block)


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Blocks of pixels to threads; in a block, tiles of pixel pairs by channel pairs to registers;
    cut by the default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    epilogue, conv, pairs = (sch.get_sblock(name) for name in ("epilogue", "conv", "pairs"))
    _, row, column, channel = sch.get_loops(epilogue)
    task_row, row = sch.split(row, [None, configuration.rows])
    pixels = configuration.pairs * SIDE
    task_column, column, pixel = sch.split(column, [None, configuration.columns // pixels, pixels])
    outer, channel = sch.split(channel, [None, configuration.vectors * SIDE])
    sch.reorder(task_row, task_column, outer, row, column, pixel, channel)
    task = sch.fuse(task_row, task_column)
    sch.compute_at(conv, column, preserve_unit_loops=True)
    sch.parallel(task)
    sch.compute_at(pairs, task, preserve_unit_loops=True)
    _, lane = sch.split(sch.get_loops(pairs)[-1], [None, GROUP])
    sch.vectorize(lane)
    finish_in_registers(sch, epilogue, 2 * _STORED_CHANNELS)

    *_, pair, vector, s, k, g = sch.get_loops(conv)
    sch.reorder(k, pair, vector, s, g)
    *_, init_pair, init_vector, init_s = sch.get_loops(separate_start(sch, conv, k))
    pixel, channel = sch.split(init_s, [SIDE, SIDE])
    keep_in_registers(sch, [init_pair, init_vector, pixel], channel)
    sch.tensorize(pair, smmla_intrinsic(configuration.pairs, configuration.vectors))


def _sizes(sch: s_tir.Schedule) -> tuple[int, int, int, int]:
    """Rows, pairs of columns and of channels, and groups of input channels."""
    axes = sch.get(sch.get_sblock("conv")).iter_vars
    rows, pairs, vectors, _, groups, _ = (int(axis.dom.extent) for axis in axes)
    return rows, pairs, vectors, groups


def _tiles(pairs: int, vectors: int, registers: int) -> list[tuple[int, int]]:
    """(pairs, vectors) of every tile whose accumulators fit."""
    most = min(registers, MOST_BYTES // (SIDE * SIDE * 4))
    return [
        (p, v) for p in divisors(pairs, most) for v in divisors(vectors, most // p) if min(p, v) > 1
    ]


FAMILY = KernelFamily(
    "matrix_pointwise",
    "1x1 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
)
