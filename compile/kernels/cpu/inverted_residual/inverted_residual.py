"""An inverted residual block of int8 as one kernel, NHWC: expand, depthwise and project.

The expanded tensor has several times the channels of what comes in and goes out, and never is
whole: a task computes a block of rows, and for these one block of the expanded channels after the
other. A channel block's rows are expanded into a buffer that fits the level 2 cache, convolved row
by row, and added to the row block's int32 sums of the projection. Integer sums may be taken in any
order, and everything else is computed element by element as in the three kernels that this one
stands for, so the result is the same, bit for bit. What it costs is that rows at the edge of two
row blocks are expanded for both.

The data may be concat(upsample(low), data): see
:mod:`compile.kernels.cpu.int8.int8_concat_pointwise`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm import s_tir, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import finish_in_registers
from compile.kernels.common.tiling import MOST_PIXELS, divisors, even_lanes
from compile.kernels.common.window import vectorize_copy
from compile.kernels.cpu.instructions.dot_intrinsics import DotTile
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import annotated_dot_product
from compile.kernels.cpu.int8.int8_depthwise import (
    DepthwiseExtents,
    accumulate_by_lane,
    accumulate_taps,
    unroll_words,
    vectorize_words,
)
from compile.kernels.cpu.int8.int8_loops import (
    DOT_PRODUCT_ATTR,
    STRIDE_ATTR,
    PackedExtents,
    accumulate_dot_products,
    dot_product_tile,
    dot_product_tiles,
    take_annotations,
    vectorize_operand,
)
from compile.kernels.cpu.inverted_residual.inverted_residual_sizes import InvertedResidual
from compile.kernels.cpu.inverted_residual.inverted_residual_stages import Stages
from compile.kernels.family import KernelFamily

#: Blocks that bring a feature map into the instruction's type, or scale its channels.
_OPERANDS = ("data_operand", "low_operand")


def create_inverted_residual(block: InvertedResidual, dot: DotProduct) -> tirx.PrimFunc:
    """The kernel (the operands of
    :class:`compile.kernels.cpu.inverted_residual.inverted_residual_stages.Stages`) -> int8
    [1,OH,OW,O]."""
    stages = Stages(block, dot)
    return create_kernel(FAMILY.name, stages.operands, stages.result, block.macs, stages.starts)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        pixels, vectors, steps: of the expansion's register tile.
        low_pixels, low_steps: of the smaller feature map's, which has as many vectors; 0 where
            there is none.
        columns, channels: of the depthwise convolution's.
        project_pixels, project_vectors, project_steps: of the projection's.
    """

    pixels: int
    vectors: int
    steps: int
    low_pixels: int
    low_steps: int
    columns: int
    channels: int
    project_pixels: int
    project_vectors: int
    project_steps: int


def configurations(sch: s_tir.Schedule, core: CpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try: tiles of the expansion and of the depthwise
    convolution, the others by default."""
    sizes = _sizes(sch, core)
    return [
        _configuration(sizes, core, tile, *depthwise)
        for tile in dot_product_tiles(sizes.expand, core)
        for depthwise in _depthwise_tiles(sizes, core)
    ]


def default_configuration(sch: s_tir.Schedule, core: CpuCore) -> Configuration:
    """The tiles with the fewest loads; of the depthwise convolution its own default."""
    sizes = _sizes(sch, core)
    depthwise = sizes.depthwise
    run = even_lanes(sizes.channel_block, max(sizes.expand.dot.depthwise_channels, depthwise.lanes))
    columns = depthwise.default_columns(core.registers, run)
    return _configuration(sizes, core, dot_product_tile(sizes.expand, core), columns, run)


def _configuration(
    sizes: _Sizes, core: CpuCore, tile: DotTile, columns: int, channels: int
) -> Configuration:
    low_pixels = low_steps = 0
    if sizes.low is not None:
        low = dot_product_tile(sizes.low, core, tile.vectors)
        low_pixels, low_steps = low.pixels, low.steps
    project = dot_product_tile(sizes.project, core)
    return Configuration(
        tile.pixels,
        tile.vectors,
        tile.steps,
        low_pixels,
        low_steps,
        columns,
        channels,
        project.pixels,
        project.vectors,
        project.steps,
    )


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: Configuration | None = None
) -> None:
    """Row blocks to threads; in each, one channel block after the other; cut by the default
    configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    sizes = _sizes(sch, core)
    dot = sizes.expand.dot
    blocks = {str(sch.get(block).name_hint): block for block in _blocks(sch)}
    conv, project_conv, depthwise_conv = (
        blocks[name] for name in ("conv", "project_conv", "depthwise_conv")
    )
    for block in (conv, project_conv, depthwise_conv):
        take_annotations(sch, block)
    if sizes.words:
        words = vectorize_words(sch, blocks["words"], sizes.words, configuration.channels, dot)

    expand, low, project = _tiles(sizes, configuration)
    sums, epilogue = blocks["project_sum"], blocks["epilogue"]
    row_block, row, column, channel, channel_block = sch.get_loops(sums)
    column, pixel = sch.split(column, [None, project.pixels])
    outer, channel = sch.split(channel, [None, project.vectors * project.lanes])
    sch.reorder(row_block, channel_block, row, outer, column, pixel, channel)
    sch.reverse_compute_at(epilogue, row_block, preserve_unit_loops=True)
    sch.parallel(row_block)
    *_, result_column, _ = sch.get_loops(epilogue)
    sch.split(result_column, [None, project.pixels])
    sch.compute_at(project_conv, column, preserve_unit_loops=True)
    sch.compute_at(blocks["depthwise"], row, preserve_unit_loops=True)
    tile = _tile_loops(
        sch,
        blocks["depthwise"],
        configuration.columns,
        configuration.channels,
        channels_inside=dot.keeps_weights,
    )
    sch.compute_at(depthwise_conv, tile, preserve_unit_loops=True)
    if sizes.words:
        sch.compute_at(words, tile, preserve_unit_loops=True)
        unroll_words(sch, words, len(sch.get_loops(blocks["depthwise"])) - 2, dot)
    sch.compute_at(blocks["pad"], channel_block, preserve_unit_loops=True)
    *_, padded_row, _, _ = sch.get_loops(blocks["pad"])
    vectorize_copy(sch, blocks["pad"], core)
    # A single row block has no rows to expand beyond the feature map, where padding has some: row
    # by row, TVM would guard the rows by a condition that it cannot tensorize under.
    at = padded_row if sizes.row_blocks > 1 else channel_block
    sch.compute_at(blocks["expand"], at, preserve_unit_loops=True)
    tiled = [(blocks["expand"], conv, expand)]
    _tile_result(sch, *tiled[0])
    if low is not None:
        take_annotations(sch, blocks["low_conv"])
        sch.compute_at(blocks["low_sum"], channel_block, preserve_unit_loops=True)
        tiled.append((blocks["low_sum"], blocks["low_conv"], low))
        _tile_result(sch, *tiled[1])
    for name in _OPERANDS:
        if name in blocks:
            sch.compute_at(blocks[name], row_block, preserve_unit_loops=True)
            vectorize_operand(sch, blocks[name], core)
    for result, lanes in (
        (blocks["depthwise"], sizes.depthwise.lanes),
        (sums, project.lanes),
        (epilogue, project.lanes),
    ):
        finish_in_registers(sch, result, lanes)
    # Only now: TVM does not move what is in two blocks.
    if sizes.words:
        *_, column, channel, word, tap, group = sch.get_loops(depthwise_conv)
        accumulate_by_lane(sch, depthwise_conv, column, channel, [word, tap, group], dot)
    else:
        *_, column, channel, row_tap, tap = sch.get_loops(depthwise_conv)
        accumulate_taps(sch, depthwise_conv, column, channel, [row_tap, tap], dot)
    for inner, cut in ((project_conv, project), *((inner, cut) for _, inner, cut in tiled)):
        *_, pixel, channel, _ = sch.get_loops(inner)
        accumulate_dot_products(sch, inner, dot, cut, pixel, channel)
    *_, lane = sch.get_loops(sch.decompose_reduction(sums, channel_block))
    sch.vectorize(lane)


def _tile_result(sch: s_tir.Schedule, result: SBlockRV, conv: SBlockRV, tile: DotTile) -> None:
    """Cut ``result`` into tiles, and compute the sums of each where they are read."""
    at = _tile_loops(sch, result, tile.pixels, tile.vectors * tile.lanes)
    sch.compute_at(conv, at, preserve_unit_loops=True)
    finish_in_registers(sch, result, tile.lanes)


def _tile_loops(
    sch: s_tir.Schedule, block: SBlockRV, pixels: int, channels: int, channels_inside: bool = False
) -> LoopRV:
    """Cut the columns and channels of ``block`` into tiles; the loop around one."""
    *_, column, channel = sch.get_loops(block)
    column, pixel = sch.split(column, [None, pixels])
    outer, channel = sch.split(channel, [None, channels])
    tiles = [column, outer] if channels_inside else [outer, column]
    sch.reorder(*tiles, pixel, channel)
    return tiles[-1]


def _tiles(sizes: _Sizes, configuration: Configuration) -> tuple[DotTile, DotTile | None, DotTile]:
    """The register tiles of the expansion, the smaller feature map's and the projection."""
    dot = sizes.expand.dot
    lanes, project_lanes = dot.lanes_for(sizes.channel_block), dot.lanes_for(sizes.project.channels)
    expand = DotTile(
        configuration.pixels,
        configuration.vectors,
        lanes,
        configuration.steps,
        1,
        dot.operand_dtype,
    )
    low = None
    if configuration.low_pixels:
        low = replace(expand, pixels=configuration.low_pixels, steps=configuration.low_steps)
    project = DotTile(
        configuration.project_pixels,
        configuration.project_vectors,
        project_lanes,
        configuration.project_steps,
        1,
        dot.data_dtype,
    )
    return expand, low, project


@dataclass(frozen=True)
class _Sizes:
    """Of one channel block: its three convolutions, and the smaller feature map's, if any."""

    row_blocks: int
    expand: PackedExtents
    low: PackedExtents | None
    project: PackedExtents
    channel_block: int
    kernel_columns: int
    words: int
    stride: int

    @property
    def depthwise(self) -> DepthwiseExtents:
        return DepthwiseExtents(
            self.project.rows,
            self.project.columns,
            self.channel_block,
            self.kernel_columns,
            self.words,
            self.stride,
            self.expand.dot,
        )


def _sizes(sch: s_tir.Schedule, core: CpuCore) -> _Sizes:
    blocks = {str(sch.get(block).name_hint): sch.get(block) for block in _blocks(sch)}
    extents = {
        name: [int(axis.dom.extent) for axis in block.iter_vars] for name, block in blocks.items()
    }
    dot = annotated_dot_product(blocks["conv"].annotations[DOT_PRODUCT_ATTR], core.bits)

    def packed(name: str, channels: int) -> PackedExtents:
        _, _, rows, columns, _, k = extents[name]
        return PackedExtents(rows, columns, channels, k // dot.group, dot, stride=1)

    channel_block = extents["expand"][-1]
    has_words = "words" in blocks
    return _Sizes(
        row_blocks=extents["expand"][0],
        expand=packed("conv", channel_block),
        low=packed("low_conv", channel_block) if "low_conv" in blocks else None,
        project=packed("project_conv", extents["epilogue"][-1]),
        channel_block=channel_block,
        kernel_columns=extents["depthwise_conv"][-2 if has_words else -1],
        words=extents["depthwise_conv"][-3] if has_words else 0,
        stride=int(blocks["depthwise_conv"].annotations[STRIDE_ATTR]),
    )


def _blocks(sch: s_tir.Schedule) -> list[SBlockRV]:
    return sch.get_child_blocks(sch.get_sblock("root"))


def _depthwise_tiles(sizes: _Sizes, core: CpuCore) -> list[tuple[int, int]]:
    """(columns, channels) of every tile worth a try."""
    depthwise = sizes.depthwise
    lanes = depthwise.lanes
    return [
        (columns, run)
        for run in (lanes * n for n in (1, 2, 4) if sizes.channel_block % (lanes * n) == 0)
        for columns in divisors(
            sizes.project.columns, min(depthwise.columns_in(core.registers, run), 2 * MOST_PIXELS)
        )
    ]


FAMILY = KernelFamily(
    "inverted_residual",
    "inverted residual",
    schedule,
    Configuration,
    configurations,
    default_configuration,
)
