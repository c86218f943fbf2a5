"""The schedule of every convolution and average pooling on a GPU: dense or depthwise, of int8 or
float, NHWC.

A work item computes a tile of columns by a vector of channels or more, all of it in registers: the
accumulators, the padding (which is a condition on the load) and the epilogue. It shares nothing
with its neighbours but the cache: what a Mali calls local memory is ordinary memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod

from tvm import s_tir, tirx
from tvm.s_tir.schedule import LoopRV, SBlockRV

from compile.kernels.common.kernel_function import factors_of
from compile.kernels.common.register_loops import keep_in_registers
from compile.kernels.common.tiling import divisors, largest_divisor
from compile.kernels.cpu.plain import average_pool, depthwise, pointwise, spatial_conv
from compile.kernels.family import Fusion, KernelFamily
from compile.kernels.gpu import gpu_norm
from compile.kernels.gpu.gpu_core import GpuCore, bind_tiles, group_of, vector_length
from compile.kernels.gpu.image_weights import PIXEL_LANES, read_from_image

#: The block of the sum over the smaller part of a concat, if a kernel has one.
LOW_BLOCK = "low_conv"

#: Columns of a tile, of packed int8x4 and floats: with four, a vector of weights is loaded once for
#: four multiplications. More channels in their place, or more columns of floats, made Mesa's
#: compiler for Mali spill registers.
_PACKED_COLUMNS, _COLUMNS = 8, 4
_MOST_ROWS, _MOST_COLUMNS, _MOST_VECTORS = 2, 8, 4

#: Columns of a packed depthwise tile, which are finished one by one: more of them share what comes
#: in front, and take no more registers. Not where so few work items are left that cores idle.
_DEPTHWISE_COLUMNS, _ENOUGH_WORK_ITEMS = 16, 2048

#: Columns of a dense window whose loop is unrolled.
_MOST_WIDTH = 5

#: Steps of the innermost reduction loop without a jump. With four a load of data is a whole vector,
#: which is worth more than a larger tile.
_STEPS, _MOST_STEPS = 4, 8

#: Registers for addresses and counters.
_ADDRESSES = 10

#: Loads that a compiler has in flight, as Mesa's has: so many values of data and weights are alive
#: for each column and vector; of a sum of up to `_STRAIGHT` products, which needs no loop, one.
_IN_FLIGHT, _STRAIGHT = 4, 8

#: Sizes of a work group that are tried.
_GROUPS = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        rows, columns: of a work item's tile.
        vectors, lanes: its channels, in so many vectors.
        steps: of the input channels' loop that are unrolled.
        group: work items of a work group.
        image: the weights are read from an image.
    """

    rows: int
    columns: int
    vectors: int
    lanes: int
    steps: int
    group: int
    image: bool


def configurations(sch: s_tir.Schedule, core: GpuCore) -> list[Configuration]:
    """All that fit the registers and the work group and are worth a try."""
    sizes = _sizes(sch)
    longest = vector_length(sizes.run, sizes.most_lanes(core))
    return [
        Configuration(rows, tile, vectors, lanes, steps, group, image)
        for rows in divisors(sizes.rows, _MOST_ROWS)
        if rows == 1 or rows % sizes.factor == 0
        for tile in divisors(sizes.columns, sizes.most_columns // rows)
        if tile % sizes.factor == 0
        for lanes in dict.fromkeys(
            (longest, vector_length(sizes.run, core.lanes), gcd(sizes.run, core.lanes))
        )
        for vectors in divisors(sizes.channels // lanes, _MOST_VECTORS)
        for steps in divisors(sizes.steps, _MOST_STEPS)
        if sizes.registers(rows * tile, vectors * lanes, steps) <= core.registers
        for group in _GROUPS
        if group <= core.work_group
        for image in dict.fromkeys((False, sizes.fits_image(lanes)))
    ]


def default_configuration(sch: s_tir.Schedule, core: GpuCore) -> Configuration:
    """One vector of channels by as many columns as its registers allow; what a tile loads is shared
    with its neighbours through the cache."""
    sizes = _sizes(sch)
    if sizes.is_narrow(core):
        return _narrow_configuration(sizes, core)
    lanes = vector_length(sizes.run, sizes.most_lanes(core))
    if sizes.is_column_by_column:
        steps = largest_divisor(sizes.steps, _MOST_STEPS)
    else:
        # Two packed int8x4 are one load, three are not.
        aligned = gcd(sizes.steps, _STEPS)
        steps = aligned if aligned > 1 else largest_divisor(sizes.steps, _STEPS)
    most = _PACKED_COLUMNS if sizes.weight_is_packed else _COLUMNS
    if sizes.is_column_by_column:
        tiles_in_all = sizes.rows * sizes.columns * sizes.channels // (_DEPTHWISE_COLUMNS * lanes)
        most = _DEPTHWISE_COLUMNS if tiles_in_all >= _ENOUGH_WORK_ITEMS else most
    # A concat's pixels share one of the smaller part: in two dimensions, twice as many.
    rows = 2 if sizes.factor == 2 else 1
    tiles = [n for n in divisors(sizes.columns, most // rows) if n % sizes.factor == 0]
    # Where nothing fits, the fewest.
    fitting = [
        n for n in tiles if sizes.registers(rows * n, lanes, steps) <= core.registers
    ] or tiles[:1]
    image = core.image_weights and sizes.fits_image(lanes)
    return Configuration(rows, fitting[-1], 1, lanes, steps, core.group, image)


def _narrow_configuration(sizes: _Sizes, core: GpuCore) -> Configuration:
    """All channels of a few columns, so that what a column's data goes through first, as a
    normalization, is done once for them; in vectors whose loads are aligned."""
    lanes = gcd(sizes.channels, core.lanes)
    columns = divisors(sizes.columns, _COLUMNS)[-1]
    held = columns * sizes.channels + _ADDRESSES
    # Data and weights of all steps are alive. Pairs are one load.
    fitting = [
        steps
        for steps in divisors(sizes.steps, _MOST_STEPS)
        if steps % 2 == 0 and held + steps * (columns + sizes.channels) <= core.registers
    ]
    steps = fitting[-1] if fitting else 1
    vectors = sizes.channels // lanes
    return Configuration(1, columns, vectors, lanes, steps, core.group, False)


def schedule(
    sch: s_tir.Schedule, core: GpuCore, configuration: Configuration | None = None
) -> None:
    """Tiles to work items; cut by the default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    convolutions, between, last = _inline_neighbours(sch)
    *_, row, column, channel = sch.get_loops(last)
    outer_row, row = sch.split(row, [None, configuration.rows])
    outer_column, column = sch.split(column, [None, configuration.columns])
    outer_channel, vector, lane = sch.split(
        channel, [None, configuration.vectors, configuration.lanes]
    )
    sch.reorder(outer_row, outer_column, outer_channel, row, column, vector, lane)
    columns, channels = (int(sch.get(loop).extent) for loop in (outer_column, outer_channel))
    group = group_of(columns, channels, min(configuration.group, core.work_group))
    tile = bind_tiles(sch, outer_row, outer_column, outer_channel, group)
    keep_in_registers(sch, [row, column, vector], lane)
    # Of a depthwise convolution, a column is finished before the next begins: their sums are not
    # alive together, the data that they share is.
    sizes = _sizes(sch)
    inside = tile
    if sizes.is_column_by_column:
        sch.reorder(column, row, vector, lane)
        inside = column
    for block in reversed(between):
        sch.compute_at(block, inside, preserve_unit_loops=True)
        sch.set_scope(block, 0, "local")
        *_, row, column, channel = sch.get_loops(block)
        vector, lane = sch.split(channel, [None, configuration.lanes])
        keep_in_registers(sch, [row, column, vector], lane)
    # The last one first: a sum that begins with another comes behind it. Taken apart below, it no
    # longer shows what it begins with.
    for conv in reversed(convolutions):
        if configuration.image:
            read_from_image(sch, conv)
        sch.compute_at(conv, inside, preserve_unit_loops=True)
        sch.set_scope(conv, 0, "local")
    for conv in convolutions:
        loops, reductions = sch.get_loops(conv), _reductions(sch, conv)
        *_, row, column, channel = loops[: -len(reductions)]
        *window, k = loops[-len(reductions) :]
        step, inner = sch.split(k, [None, largest_divisor(reductions[-1], configuration.steps)])
        vector, lane = sch.split(channel, [None, configuration.lanes])
        # A vector of weights is read once for all pixels of the tile.
        sch.reorder(*window, step, inner, vector, row, column, lane)
        keep_in_registers(sch, [*sizes.unrolled(window), inner, vector, row, column], lane)
        sch.decompose_reduction(conv, (window or [step])[0])


def _inline_neighbours(
    sch: s_tir.Schedule,
) -> tuple[list[SBlockRV], list[SBlockRV], SBlockRV]:
    """Inline the blocks before the convolutions (padding, normalization) into their loads; the
    convolutions, the blocks between them and the last one, and this.

    Those between stay blocks: what reads one many times, as a polynomial does its argument, would
    otherwise repeat all that came before, and so does what reads that.
    """
    *blocks, last = sch.get_child_blocks(sch.get_sblock("root"))
    convolutions, between = [], []
    for block in blocks:
        if _reductions(sch, block):
            convolutions.append(block)
        elif convolutions:
            between.append(block)
        else:
            sch.compute_inline(block)
    return convolutions, between, last


@dataclass(frozen=True)
class _Sizes:
    """Of the result.

    Attributes:
        rows, columns, channels: of the feature map.
        run: channels that are computed from the same data, of which a vector holds no others.
        width, steps: of the window, and of the innermost reduction.
        summed: products of all sums, those of a concat's parts together.
        factor: columns that share a sum.
        is_depthwise, weight_bytes, weight_is_packed: of the weights, and of one of them.
    """

    rows: int
    columns: int
    channels: int
    run: int
    width: int
    steps: int
    summed: int
    factor: int
    is_depthwise: bool
    weight_bytes: int
    weight_is_packed: bool

    def most_lanes(self, core: GpuCore) -> int:
        """Longer vectors where each is multiplied by a vector of bytes: these fill loads better."""
        narrow = self.is_depthwise and self.weight_bytes == 1
        return 2 * core.lanes if narrow else core.lanes

    def fits_image(self, lanes: int) -> bool:
        """Whether vectors of so many weights are the pixels of an image."""
        return self.weight_is_packed and lanes == PIXEL_LANES

    def is_narrow(self, core: GpuCore) -> bool:
        """Whether it has fewer channels than two vectors, no whole vectors of them, and floats."""
        dense = not self.is_depthwise and self.run == self.channels
        is_cut = self.channels % core.lanes != 0
        return dense and not self.weight_is_packed and 1 < self.channels < 2 * core.lanes and is_cut

    @property
    def is_column_by_column(self) -> bool:
        """Whether a tile's columns are finished one by one: what they share is their data."""
        return self.is_depthwise and self.weight_is_packed

    @property
    def most_columns(self) -> int:
        """Of a tile that is worth a try."""
        return _DEPTHWISE_COLUMNS if self.is_column_by_column else _MOST_COLUMNS

    def unrolled(self, window: list[LoopRV]) -> list[LoopRV]:
        """Those of the loops over the ``window`` whose iterations have loads in common."""
        if self.is_column_by_column:
            return window
        return window[-1:] if self.weight_is_packed and self.width <= _MOST_WIDTH else []

    def registers(self, pixels: int, lanes: int, steps: int) -> int:
        """Accumulators, weights and data that are in flight, and what addresses take."""
        if self.is_column_by_column:
            return lanes * (1 + 2 * self.width * steps) + _ADDRESSES
        in_flight = 1 if self.summed <= _STRAIGHT else min(_IN_FLIGHT, self.width * steps)
        weights = max(1, lanes * self.weight_bytes // 4)
        data = weights if self.is_depthwise else pixels
        return pixels * lanes + in_flight * (weights + data) + _ADDRESSES


def _sizes(sch: s_tir.Schedule) -> _Sizes:
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    conv = sch.get_sblock("conv")
    *_, rows, columns, channels = (int(axis.dom.extent) for axis in sch.get(blocks[-1]).iter_vars)
    factor = 1
    for block in map(sch.get, blocks):
        if str(block.name_hint) == LOW_BLOCK:
            factor = columns // int(block.iter_vars[1].dom.extent)
    # By its place: operator fusion gives it another name.
    weight = factors_of(sch.get(conv))[-1].source
    *window, steps = _reductions(sch, conv)
    sums = [extents for block in blocks if (extents := _reductions(sch, block))]
    # Depthwise, the weight has as many dimensions as the window and the channels.
    is_depthwise = len(weight.shape) == 3
    groups = int(sch.get(conv).annotations.get(spatial_conv.GROUPS_ATTR, 1))
    return _Sizes(
        rows,
        columns,
        channels,
        channels // groups,
        window[-1] if window else 1,
        steps,
        sum(map(prod, sums)),
        factor,
        is_depthwise,
        int(weight.dtype.itemsize),
        str(weight.dtype) == "int32",
    )


def _reductions(sch: s_tir.Schedule, block: SBlockRV) -> list[int]:
    """Extents of the loops that are summed over; none of a block that is no sum."""
    axes = sch.get(block).iter_vars
    kinds = [axis for axis in axes if axis.iter_type == tirx.IterVar.CommReduce]
    return [int(axis.dom.extent) for axis in kinds]


def convolution_family(name: str, kind: str, producers: tuple[str, ...] = ()) -> KernelFamily:
    """Return the family of kernels with the blocks "conv" and "epilogue", which this schedules.

    Those of the families ``producers`` and an elementwise kernel behind are inlined into the tile.
    """
    fusion = Fusion(producers, elementwise=True, int8_results=True)
    return KernelFamily(
        name,
        kind,
        schedule,
        Configuration,
        configurations,
        default_configuration,
        fusion=fusion,
    )


POINTWISE = convolution_family(
    pointwise.FAMILY.name, pointwise.FAMILY.kind, (gpu_norm.NORMALIZE.name,)
)
SPATIAL_CONV = convolution_family(spatial_conv.FAMILY.name, spatial_conv.FAMILY.kind)
DEPTHWISE = convolution_family(depthwise.FAMILY.name, depthwise.FAMILY.kind)
AVERAGE_POOL = convolution_family(average_pool.FAMILY.name, average_pool.FAMILY.kind)
