"""1x1 convolution of int8 by a dot product instruction, NHWC: a matrix product over packed weights.

A task takes a block of pixels: it brings their channels into the instruction's type once, and
multiplies them by all weights while they are in the level 1 cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import s_tir, te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import AccumulatorStart, create_kernel, start_by_channel
from compile.kernels.common.register_loops import finish_in_registers
from compile.kernels.common.tiling import pixel_blocks, pixels_per_task
from compile.kernels.cpu.instructions.dot_intrinsics import DotTile
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.int8_loops import (
    DOT_PRODUCT_ATTR,
    STRIDE_ATTR,
    accumulate_dot_products,
    dot_product_tile,
    dot_product_tiles,
    packed_extents,
    take_annotations,
    vectorize_operand,
)
from compile.kernels.cpu.int8.packed_weight import packed_at, packed_shape, packed_vectors
from compile.kernels.family import KernelFamily


def create_int8_pointwise(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    dot: DotProduct,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight as :mod:`compile.kernels.cpu.int8.packed_weight` has
    it, epilogue operands) -> [1,H,W,O]."""
    _, height, width, channels_in = data_shape
    data = te.placeholder(data_shape, "int8", name="data")
    shape = packed_shape(channels_out, (1, 1), channels_in, dot)
    weight = te.placeholder(shape, dot.weight_dtype, name="weight")
    operands = epilogue.operands(channels_out, "int32")
    start = accumulator_start(epilogue, operands, channels_out, dot)
    finish = epilogue.apply(operands, is_started=start is not None)
    conv = accumulator(data, weight, dot, start=start)
    out = te.compute(
        (1, height, width, channels_out),
        lambda b, y, x, n: finish(conv[y, x, n], n),
        name="epilogue",
    )
    macs = height * width * channels_in * channels_out
    starts = [start] if start is not None else []
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs, starts)


def accumulator_start(
    epilogue: ConvEpilogue,
    operands: list[te.Tensor],
    channels_out: int,
    dot: DotProduct,
    prefix: str = "",
) -> AccumulatorStart | None:
    """Where the sums of the block "conv" begin, of a kernel with such ``operands`` for its
    ``epilogue``; None for zero."""
    start = epilogue.start(operands)
    if start is None or not dot.starts_at_bias or channels_out % dot.lanes_for(channels_out):
        return None
    return start_by_channel(prefix + "conv", start)


def accumulator(
    data: te.Tensor,
    weight: te.Tensor,
    dot: DotProduct,
    prefix: str = "",
    start: AccumulatorStart | None = None,
) -> te.Tensor:
    """int32 [H,W,vectors*lanes]: the block "conv" over ``data`` int8 [1,H,W,I] and a packed
    ``weight``, and "operand" where the data has to be brought into the instruction's type. Its sums
    begin at ``start``, which the kernel's creation has to know too."""
    _, height, width, channels_in = (int(extent) for extent in data.shape)
    lanes, group = (int(extent) for extent in weight.shape[-2:])
    padded = -(-channels_in // group) * group
    k = te.reduce_axis((0, padded), name="k")

    def value(y: tirx.Expr, x: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
        return data[0, y, x, k]

    def widened(y: tirx.Expr, x: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
        # The weights behind the last channel are zero: what they multiply does not matter.
        zero = tirx.const(0, dot.data_dtype)
        return tirx.if_then_else(k < channels_in, dot.widened(value(y, x, k)), zero)

    if dot.takes_int8 and padded == channels_in:
        operand, dtype = value, "int8"
    else:
        operand = te.compute((height, width, padded), widened, prefix + "operand")
        dtype = dot.data_dtype

    def multiply(y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        by = packed_at(weight, dot, (n // lanes, n % lanes), (0, 0), k)
        init = None if start is None else start.value(y, x, n)
        return te.sum(dot.product(operand(y, x, k), by, dtype), axis=k, init=init)

    attrs = {DOT_PRODUCT_ATTR: dot.name, STRIDE_ATTR: 1}
    shape = (height, width, packed_vectors(weight, dot) * lanes)
    return te.compute(shape, multiply, name=prefix + "conv", attrs=attrs)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        pixels, vectors, steps: of the register tile.
        rows, columns: of the block of pixels that one task takes.
        channels_outside: a task goes through its pixels once for every tile of channels, and not
            through the channels for every tile of pixels.
    """

    pixels: int
    vectors: int
    steps: int
    rows: int
    columns: int
    channels_outside: bool


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    extents = packed_extents(sch, core)
    return [
        Configuration(tile.pixels, tile.vectors, tile.steps, *block, channels_outside)
        for tile in dot_product_tiles(extents, core)
        for block in pixel_blocks(extents.rows, extents.columns, tile.pixels, core)
        for channels_outside in (True, False)
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The tile with the fewest loads, and blocks that fit the level 1 cache."""
    extents = packed_extents(sch, core)
    tile = dot_product_tile(extents, core)
    # A group fills 32 bits, whatever its type.
    pixel_bytes = extents.groups * 4
    block = pixels_per_task(extents.rows, extents.columns, tile.pixels, pixel_bytes, core)
    return Configuration(tile.pixels, tile.vectors, tile.steps, *block, channels_outside=True)


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Blocks of pixels to threads; in a block, tiles of pixels by vectors to registers; cut by the
    default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    extents = packed_extents(sch, core)
    dot, lanes = extents.dot, extents.dot.lanes_for(extents.channels)
    epilogue, conv = sch.get_sblock("epilogue"), sch.get_sblock("conv")
    take_annotations(sch, conv)
    operands = sch.get_producers(conv)
    dtype = dot.data_dtype if operands else "int8"
    tile = DotTile(
        configuration.pixels,
        configuration.vectors,
        lanes,
        configuration.steps,
        extents.stride,
        dtype,
    )

    row, column, channel, _ = sch.get_loops(conv)
    task_row, row = sch.split(row, [None, configuration.rows])
    task_column, column, pixel = sch.split(
        column, [None, configuration.columns // tile.pixels, tile.pixels]
    )
    outer, channel = sch.split(channel, [None, tile.vectors * tile.lanes])
    tiles = [outer, row, column] if configuration.channels_outside else [row, column, outer]
    sch.reorder(task_row, task_column, *tiles, pixel, channel)
    task = sch.fuse(task_row, task_column)
    sch.reverse_compute_at(epilogue, tiles[-1], preserve_unit_loops=True)
    sch.parallel(task)
    for operand in operands:
        sch.compute_at(operand, task, preserve_unit_loops=True)
        vectorize_operand(sch, operand, core)
    finish_in_registers(sch, epilogue, tile.lanes)
    accumulate_dot_products(sch, conv, dot, tile, pixel, channel)


FAMILY = KernelFamily(
    "packed_pointwise",
    "1x1 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
)
