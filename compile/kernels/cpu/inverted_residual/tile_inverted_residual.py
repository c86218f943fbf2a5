"""How an inverted residual block is cut into row blocks and channel blocks for a core's caches."""

from __future__ import annotations

from dataclasses import replace

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.tiling import divisors
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.inverted_residual.inverted_residual_sizes import InvertedResidual

#: Of a channel block, where there are so many: with fewer, the sums of the projection are loaded
#: and stored for too few products.
_FEWEST_CHANNELS = 48

#: Of the expansion, what may be computed twice because two row blocks read it.
_MOST_OVERLAP = 1 / 6

#: Row blocks for each thread, if their number is not a multiple of the threads.
_ROW_BLOCKS_PER_THREAD = 4


def cut_inverted_residual(
    block: InvertedResidual, dot: DotProduct, core: CpuCore
) -> InvertedResidual | None:
    """``block`` with the most channels in a channel block, and then the tallest row block, that fit
    the level 2 cache and give every thread its part; None where too many rows would be computed
    twice for it to pay."""
    for channel_block in _channel_blocks(block, dot):
        fitting = [
            cut
            for row_block in divisors(block.output_size[0], block.output_size[0])
            if (cut := replace(block, row_block=row_block, channel_block=channel_block))
            and _is_aligned(cut)
            and _serves_threads(cut, core.threads)
            and _working_set(cut, dot) <= core.l2_bytes
        ]
        if fitting and _overlap(fitting[-1]) <= _MOST_OVERLAP:
            return fitting[-1]
    return None


def _channel_blocks(block: InvertedResidual, dot: DotProduct) -> list[int]:
    """Whole vectors of channels, from the fewest that are enough downwards."""
    lanes = dot.lanes_for(block.expanded)
    kernel = block.window.kernel
    runs = [
        n
        for n in divisors(block.expanded, block.expanded)
        if n % lanes == 0 and dot.find_depthwise_lanes(n, kernel) is not None
    ]
    enough = next((n for n in runs if n >= _FEWEST_CHANNELS), block.expanded)
    return [n for n in reversed(runs) if n <= enough]


def _is_aligned(cut: InvertedResidual) -> bool:
    return not cut.low_channels or cut.row_block_step % cut.factor == 0


def _serves_threads(cut: InvertedResidual, threads: int) -> bool:
    return cut.row_blocks % threads == 0 or cut.row_blocks >= _ROW_BLOCKS_PER_THREAD * threads


def _overlap(cut: InvertedResidual) -> float:
    """Rows that are expanded more than once, as part of all."""
    return (cut.row_blocks * cut.expanded_rows - cut.height) / cut.height


def _working_set(cut: InvertedResidual, dot: DotProduct) -> int:
    """Bytes that a row block goes through for each channel block: the expanded rows, the smaller
    feature map's sums and those of the projection."""
    lanes = dot.lanes_for(cut.channels_out)
    columns_out = -(-cut.channels_out // lanes) * lanes
    expanded = cut.window_rows * cut.padded_columns * cut.channel_block
    if cut.row_blocks == 1:
        # Once more, without the padding.
        expanded += cut.height * cut.width * cut.channel_block
    low = (
        4 * cut.low_rows * (cut.width // cut.factor) * cut.channel_block if cut.low_channels else 0
    )
    return expanded + low + 4 * cut.row_block * cut.output_size[1] * columns_out
