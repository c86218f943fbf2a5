"""Sizes of an inverted residual block, and how it is cut: see
:mod:`compile.kernels.cpu.inverted_residual.inverted_residual`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.int8_depthwise import words_of_column


@dataclass(frozen=True)
class InvertedResidual:
    """Sizes of a block, and how it is cut.

    Attributes:
        height, width, channels_in: of the data.
        low_channels: of a smaller feature map that stands upsampled before the data's channels; 0
            where there is none.
        factor: of its upsampling.
        expanded: channels between the first and the last convolution.
        window: of the depthwise convolution.
        channels_out: of the result.
        adds_data: whether the data is added to the projection.
        has_channel_scale: whether the channels of the smaller feature map, or else of the data, are
            scaled first.
        row_block: rows of the result that are computed in one go. Where there is a smaller feature
            map, a row block's rows of the data are a multiple of ``factor``.
        channel_block: expanded channels that are.
    """

    height: int
    width: int
    channels_in: int
    low_channels: int
    factor: int
    expanded: int
    window: Window
    channels_out: int
    adds_data: bool
    has_channel_scale: bool
    row_block: int
    channel_block: int

    @property
    def output_size(self) -> tuple[int, int]:
        """(rows, columns) of the result."""
        return self.window.output_size(self.height, self.width)

    @property
    def row_blocks(self) -> int:
        """How many there are."""
        return self.output_size[0] // self.row_block

    @property
    def channel_blocks(self) -> int:
        """How many there are."""
        return self.expanded // self.channel_block

    @property
    def row_block_step(self) -> int:
        """Rows of the data from one row block to the next."""
        return self.row_block * self.window.stride[0]

    @property
    def window_rows(self) -> int:
        """Rows of the data that the windows of a row block lie in."""
        return (self.row_block - 1) * self.window.stride[0] + self.window.kernel[0]

    @property
    def first_row(self) -> int:
        """The first row that is expanded for a row block, from the row block's first."""
        return 0 if self.row_blocks == 1 else -self.window.padding[0]

    @property
    def expanded_rows(self) -> int:
        """Rows that are expanded for a row block. Of several row blocks, the first and the last
        also have some beyond the feature map."""
        return self.height if self.row_blocks == 1 else self.window_rows

    @property
    def low_rows(self) -> int:
        """Rows of the smaller feature map that those lie in."""
        last = self.first_row + self.expanded_rows - 1
        return last // self.factor - self.first_row // self.factor + 1

    @property
    def padded_columns(self) -> int:
        """Columns of the data with the padding."""
        _, left, _, right = self.window.padding
        return self.width + left + right

    def words(self, dot: DotProduct) -> int:
        """That hold a column of the depthwise window; 0 where ``dot`` needs none."""
        return words_of_column(self.window.kernel[0], dot)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the three convolutions."""
        pixels, result = self.height * self.width, prod(self.output_size)
        inputs = self.channels_in * pixels
        if self.low_channels:
            inputs += self.low_channels * pixels // self.factor**2
        return self.expanded * (inputs + result * (prod(self.window.kernel) + self.channels_out))
