"""1x1 convolution of int8 over concat(upsample(low), high), NHWC, without making either.

A 1x1 convolution is a sum over input channels, and commutes with repeating pixels: with the weights
cut where the concatenation joins,

    conv(concat(up(low), high)) = up(conv_low(low)) + conv_high(high)

holds term by term for the int32 accumulators, so it is exact. The first summand is computed once
for the ``factor`` x ``factor`` pixels that share it; it never leaves the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd, lcm

from tvm import s_tir, te, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.conv_epilogue import ConvEpilogue
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import AccumulatorStart, create_kernel
from compile.kernels.common.register_loops import finish_in_registers
from compile.kernels.common.tiling import pixel_blocks, pixels_per_task
from compile.kernels.cpu.instructions.dot_intrinsics import DotTile
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.int8_loops import (
    PackedExtents,
    accumulate_dot_products,
    dot_product_tile,
    dot_product_tiles,
    packed_extents,
    take_annotations,
    vectorize_operand,
)
from compile.kernels.cpu.int8.int8_pointwise import accumulator, accumulator_start
from compile.kernels.cpu.int8.packed_weight import packed_shape
from compile.kernels.cpu.plain.channel_scale import ChannelScale
from compile.kernels.family import KernelFamily

_LOW = "low_"


def create_int8_concat_pointwise(
    low_shape: tuple[int, int, int, int],
    high_channels: int,
    factor: int,
    channels_out: int,
    dot: DotProduct,
    epilogue: ConvEpilogue,
    has_channel_scale: bool = False,
) -> tirx.PrimFunc:
    """The kernel (low int8 [1,H/factor,W/factor,A], high int8 [1,H,W,B], weights of both as
    :mod:`compile.kernels.cpu.int8.packed_weight` has them, epilogue operands) -> [1,H,W,O], for O
    that fill vectors. Where it ``has_channel_scale``, the operands of
    :class:`compile.kernels.cpu.plain.channel_scale.ChannelScale` follow, by which ``low`` is
    multiplied first."""
    _, low_height, low_width, low_channels = low_shape
    height, width = low_height * factor, low_width * factor
    low = te.placeholder(low_shape, "int8", name="low")
    high = te.placeholder((1, height, width, high_channels), "int8", name="high")
    low_weight, high_weight = (
        te.placeholder(packed_shape(channels_out, (1, 1), channels, dot), dot.weight_dtype, name)
        for channels, name in ((low_channels, "low_weight"), (high_channels, "high_weight"))
    )
    operands = epilogue.operands(channels_out, "int32")
    low_start = accumulator_start(epilogue, operands, channels_out, dot, _LOW)
    finish = epilogue.apply(operands, is_started=low_start is not None)
    low_data = low
    if has_channel_scale:
        scale = ChannelScale(low_channels)
        operands += scale.operands
        low_data = te.compute(
            low_shape, lambda b, y, x, c: scale.apply(low[b, y, x, c], c), "gated"
        )
    low_conv = accumulator(low_data, low_weight, dot, _LOW, low_start)
    low_sum = te.compute(low_conv.shape, lambda y, x, n: low_conv[y, x, n], name="low_sum")
    starts = []
    if low_start is not None:
        starts = [
            low_start,
            AccumulatorStart("conv", low_sum, lambda y, x, n: (y // factor, x // factor, n)),
        ]
    conv = accumulator(high, high_weight, dot, start=starts[-1] if starts else None)

    def result(_: tirx.Expr, y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        total = conv[y, x, n]
        return finish(total if starts else total + low_sum[y // factor, x // factor, n], n)

    out = te.compute((1, height, width, channels_out), result, name="epilogue")
    pixels = low_height * low_width
    macs = pixels * (low_channels + factor * factor * high_channels) * channels_out
    operands = [low, high, low_weight, high_weight, *operands]
    return create_kernel(FAMILY.name, operands, out, macs, starts)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        pixels, vectors, steps: of the register tile.
        low_pixels, low_steps: of the register tile of the small feature map, which has as many
            vectors.
        rows, columns: of the small feature map's block that one task takes.
    """

    pixels: int
    vectors: int
    steps: int
    low_pixels: int
    low_steps: int
    rows: int
    columns: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    sizes = _sizes(sch, core)
    return [
        Configuration(tile.pixels, tile.vectors, tile.steps, low.pixels, low.steps, *block)
        for tile in dot_product_tiles(sizes.high, core)
        if (low := dot_product_tile(sizes.low, core, tile.vectors))
        for block in pixel_blocks(
            sizes.low.rows, sizes.low.columns, sizes.common_columns(tile, low), core
        )
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The tile with the fewest loads, and blocks that fit the level 1 cache."""
    sizes = _sizes(sch, core)
    tile = dot_product_tile(sizes.high, core)
    low = dot_product_tile(sizes.low, core, tile.vectors)
    # A group fills 32 bits, whatever its type.
    pixel_bytes = 4 * (sizes.low.groups + sizes.factor**2 * sizes.high.groups)
    block = pixels_per_task(
        sizes.low.rows, sizes.low.columns, sizes.common_columns(tile, low), pixel_bytes, core
    )
    return Configuration(tile.pixels, tile.vectors, tile.steps, low.pixels, low.steps, *block)


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Blocks of pixels to threads; in a block, for a tile of channels, the small feature map and
    then the large one; cut by the default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    sizes = _sizes(sch, core)
    epilogue, conv, low_sum, low_conv = (
        sch.get_sblock(name) for name in ("epilogue", "conv", "low_sum", "low_conv")
    )
    for block in (conv, low_conv):
        take_annotations(sch, block)
    operands, low_operands = _operands(sch, conv), _operands(sch, low_conv)
    dot = sizes.high.dot
    lanes = dot.lanes_for(sizes.high.channels)
    tile, low_tile = (
        DotTile(
            pixels,
            configuration.vectors,
            lanes,
            steps,
            1,
            dot.data_dtype if has_operand else "int8",
        )
        for pixels, steps, has_operand in (
            (configuration.pixels, configuration.steps, operands),
            (configuration.low_pixels, configuration.low_steps, low_operands),
        )
    )

    _, row, column, channel = sch.get_loops(epilogue)
    task_row, row = sch.split(row, [None, configuration.rows * sizes.factor])
    task_columns = configuration.columns * sizes.factor
    task_column, column, pixel = sch.split(column, [None, task_columns // tile.pixels, tile.pixels])
    outer, channel = sch.split(channel, [None, tile.vectors * tile.lanes])
    sch.reorder(task_row, task_column, outer, row, column, pixel, channel)
    task = sch.fuse(task_row, task_column)
    sch.compute_at(conv, column, preserve_unit_loops=True)
    sch.compute_at(low_sum, outer, preserve_unit_loops=True)
    sch.parallel(task)
    low_pixel, low_channel = _tile_low(sch, low_sum, low_conv, low_tile)
    for operand in (*operands, *low_operands):
        sch.compute_at(operand, task, preserve_unit_loops=True)
        vectorize_operand(sch, operand, core)
    for scaled in _scaled(sch):
        sch.compute_at(scaled, task, preserve_unit_loops=True)
        vectorize_operand(sch, scaled, core)
    for block in (epilogue, low_sum):
        finish_in_registers(sch, block, lanes)
    *_, pixel, channel, _ = sch.get_loops(conv)
    accumulate_dot_products(sch, conv, dot, tile, pixel, channel)
    accumulate_dot_products(sch, low_conv, dot, low_tile, low_pixel, low_channel)


def _operands(sch: s_tir.Schedule, conv: SBlockRV) -> list[SBlockRV]:
    """What brings the data of ``conv`` into the instruction's type, where it has to be."""
    blocks = sch.get_producers(conv)
    return [block for block in blocks if str(sch.get(block).name_hint).endswith("operand")]


def _scaled(sch: s_tir.Schedule) -> list[SBlockRV]:
    """What multiplies the small feature map, where something does."""
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    return [block for block in blocks if str(sch.get(block).name_hint) == "gated"]


def _tile_low(
    sch: s_tir.Schedule, low_sum: SBlockRV, low_conv: SBlockRV, tile: DotTile
) -> tuple[LoopRV, LoopRV]:
    """Put "low_conv" into the loops of "low_sum", tile by tile: its loops over a tile."""
    *_, column, _ = sch.get_loops(low_sum)
    column, _ = sch.split(column, [None, tile.pixels])
    sch.compute_at(low_conv, column, preserve_unit_loops=True)
    *_, pixel, channel, _ = sch.get_loops(low_conv)
    return pixel, channel


@dataclass(frozen=True)
class _Sizes:
    """Of the two convolutions."""

    low: PackedExtents
    high: PackedExtents

    @property
    def factor(self) -> int:
        return self.high.rows // self.low.rows

    def common_columns(self, tile: DotTile, low: DotTile) -> int:
        """The fewest columns of the small feature map that are whole tiles in both."""
        return lcm(low.pixels, tile.pixels // gcd(tile.pixels, self.factor))


def _sizes(sch: s_tir.Schedule, core: CpuCore) -> _Sizes:
    high = packed_extents(sch, core)
    axes = sch.get(sch.get_sblock("low_conv")).iter_vars
    rows, columns, _, k = (int(axis.dom.extent) for axis in axes)
    low = replace(high, rows=rows, columns=columns, groups=k // high.dot.group)
    return _Sizes(low, high)


FAMILY = KernelFamily(
    "packed_concat_pointwise",
    "1x1 convolution",
    schedule,
    Configuration,
    configurations,
    default_configuration,
)
