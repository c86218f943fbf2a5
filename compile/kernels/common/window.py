"""The sliding window of a convolution: its padded input and its output size.

The padded rows are a buffer of their own, filled once per block of output rows; the inner loops
then read without a condition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tvm import s_tir, te, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.register_loops import keep_in_registers
from compile.kernels.common.tiling import RegisterTile, even_lanes, register_tiles, row_blocks
from compile.kernels.common.wide_weight import WIDE_BLOCK


@dataclass(frozen=True)
class Window:
    """Geometry of a convolution.

    Attributes:
        kernel: (rows, columns) of the filter.
        stride: (rows, columns) between neighbouring outputs.
        padding: (top, left, bottom, right) in pixels.
        dilation: (rows, columns) between neighbouring taps.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int] = (1, 1)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """(rows, columns) of the output for an input of ``height`` x ``width``."""
        top, left, bottom, right = self.padding
        rows, columns = (
            (taps - 1) * step + 1 for taps, step in zip(self.kernel, self.dilation, strict=True)
        )
        return (
            (height + top + bottom - rows) // self.stride[0] + 1,
            (width + left + right - columns) // self.stride[1] + 1,
        )

    def position(
        self, row: tirx.Expr, column: tirx.Expr, ky: tirx.Expr, kx: tirx.Expr
    ) -> tuple[tirx.Expr, tirx.Expr]:
        """(row, column) of the padded input that tap (``ky``, ``kx``) reads for an output."""
        return (
            row * self.stride[0] + ky * self.dilation[0],
            column * self.stride[1] + kx * self.dilation[1],
        )

    def pad(
        self,
        data: te.Tensor,
        value: tirx.Expr,
        channels: int | None = None,
        convert: Callable[[tirx.Expr], tirx.Expr] = lambda value: value,
        name: str = "pad",
    ) -> te.Tensor:
        """``data`` [1,H,W,C] with ``value`` around it, and behind its channels up to ``channels``,
        every element converted, in a block called ``name``."""
        _, height, width, present = (int(extent) for extent in data.shape)
        channels = present if channels is None else channels
        top, left, bottom, right = self.padding

        def padded(b: tirx.Expr, y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
            inside = tirx.all(y >= top, y < height + top, x >= left, x < width + left, c < present)
            return convert(tirx.if_then_else(inside, data[b, y - top, x - left, c], value))

        shape = (1, height + top + bottom, width + left + right, channels)
        return te.compute(shape, padded, name=name)


@dataclass(frozen=True)
class TiledWindow:
    """A convolution block whose accumulators are one register tile.

    Attributes:
        block: the convolution.
        row: the loop over output rows.
        column, channel: its loops inside the tile.
        reduction: its loops over the window (and the input channels).
        lanes: of the channels' vectors.
    """

    block: SBlockRV
    row: LoopRV
    column: LoopRV
    channel: LoopRV
    reduction: list[LoopRV]
    lanes: int


@dataclass(frozen=True)
class WindowConfiguration:
    """How the loops of a windowed kernel are cut.

    Attributes:
        pixels, vectors, lanes: of the register tile.
        rows: that one task takes.
    """

    pixels: int
    vectors: int
    lanes: int
    rows: int

    @property
    def tile(self) -> RegisterTile:
        """The register tile."""
        return RegisterTile(self.pixels, self.vectors, self.lanes)


def window_configurations(sch: s_tir.Schedule, core: CpuCore) -> list[WindowConfiguration]:
    """All that can be scheduled and are worth a try."""
    rows, columns, channels = output_extents(sch)
    return [
        WindowConfiguration(tile.pixels, tile.vectors, tile.lanes, block)
        for tile in register_tiles(columns, channels, core)
        for block in row_blocks(rows, core)
    ]


def output_extents(sch: s_tir.Schedule) -> tuple[int, int, int]:
    """(rows, columns, channels) of the block "epilogue"."""
    _, *axes = sch.get(sch.get_sblock("epilogue")).iter_vars
    rows, columns, channels = (int(axis.dom.extent) for axis in axes)
    return rows, columns, channels


def tile_window(sch: s_tir.Schedule, core: CpuCore, tile: RegisterTile, rows: int) -> TiledWindow:
    """``rows`` to each task, with the input rows that they need padded inside of it (where a block
    "pad" does so); columns and channels to the register ``tile``, which the blocks "conv" and
    "epilogue" share, and any block between them and "pad" that is not of the weights alone."""
    epilogue, conv = (sch.get_sblock(name) for name in ("epilogue", "conv"))
    names = [
        str(sch.get(block).name_hint) for block in sch.get_child_blocks(sch.get_sblock("root"))
    ]
    batch, row, column, channel = sch.get_loops(epilogue)
    task, row = sch.split(row, [None, rows])
    task = sch.fuse(batch, task)
    column_outer, column = sch.split(column, [None, tile.pixels])
    channel_outer, vector, lane = sch.split(channel, [None, tile.vectors, tile.lanes])
    sch.reorder(row, column_outer, channel_outer, column, vector, lane)
    sch.compute_at(conv, channel_outer, preserve_unit_loops=True)
    for producer in sch.get_producers(conv):
        if str(sch.get(producer).name_hint) not in ("pad", WIDE_BLOCK):
            sch.compute_at(producer, channel_outer, preserve_unit_loops=True)
    if "pad" in names:
        sch.compute_at(sch.get_sblock("pad"), task, preserve_unit_loops=True)
    sch.parallel(task)
    keep_in_registers(sch, [column, vector], lane)
    if "pad" in names:
        vectorize_copy(sch, sch.get_sblock("pad"), core)
    loops = sch.get_loops(conv)
    axes = sch.get(conv).iter_vars
    first = len(loops) - sum(axis.iter_type == tirx.IterVar.CommReduce for axis in axes)
    return TiledWindow(conv, row, loops[first - 2], loops[first - 1], loops[first:], tile.lanes)


def vectorize_copy(sch: s_tir.Schedule, pad: SBlockRV, core: CpuCore) -> None:
    """Vectorize the channels of the block ``pad``, which brings bytes or floats into place."""
    channels = sch.get_loops(pad)[-1]
    extent = int(sch.get(channels).extent)
    _, lane = sch.split(channels, [None, even_lanes(extent, core.bits // 8)])
    sch.vectorize(lane)
