"""Inverted residual blocks with random numbers, as the kernel takes them and in plain NumPy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from kernel_draws import draw_int8
from numpy.typing import NDArray
from reference import ops

from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.int8_depthwise import pack_depthwise
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product
from compile.kernels.cpu.inverted_residual.inverted_residual_sizes import InvertedResidual

SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))

#: Not cut: one row block, one channel block.
PLAIN = InvertedResidual(
    height=12, width=10, channels_in=8, low_channels=0, factor=1, expanded=32, window=SAME,
    channels_out=8, adds_data=False, has_channel_scale=False, row_block=12, channel_block=32,
)  # fmt: skip


@dataclass(frozen=True)
class Convolution:
    """One of the three: numbers as the reference has them.

    Attributes:
        weight: int8 OIHW.
        bias: int64 [O].
        multiplier: float32 [O].
        zero_point: of the data.
        limits: zero point of the result, and its limits.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int64]
    multiplier: NDArray[np.float32]
    zero_point: int
    limits: tuple[int, int, int]

    def operands(self, packed: NDArray, dot: DotProduct) -> list[NDArray]:
        """Weights, bias, multiplier and quant as kernels take them."""
        sums = self.weight.astype(np.int64).sum(axis=(1, 2, 3))
        bias = (self.bias - (self.zero_point + dot.shift) * sums).astype(np.int32)
        return [packed, bias, self.multiplier, np.array([self.zero_point, *self.limits], np.int32)]


class Drawn:
    """A block with numbers.

    Attributes:
        low, data: int8, what comes in; ``low`` has no channels where there is no smaller picture.
        gate: operands of the gate, if there is one.
        expected: int8 [1,OH,OW,O].
    """

    def __init__(self, block: InvertedResidual, seed: int, least_weight: int = -128) -> None:
        self.block, self._random = block, np.random.default_rng(seed)
        self._least_weight = least_weight
        small = block.height // block.factor, block.width // block.factor
        self.low = draw_int8(self._random, (1, *small, block.low_channels))
        self.data = draw_int8(self._random, (1, block.height, block.width, block.channels_in))
        zero_points = [int(z) for z in self._random.integers(-128, 128, 5)]
        self.gate: list[NDArray] = []
        low, data = self.low, self.data
        if block.has_channel_scale and block.low_channels:
            low = self._gated(low, zero_points[0])
        elif block.has_channel_scale:
            data = self._gated(data, zero_points[0])
        repeated = low.repeat(block.factor, axis=1).repeat(block.factor, axis=2)
        joined = np.concatenate([repeated, data], axis=3)
        window = block.window
        one = (1, 1), (0, 0, 0, 0)
        shapes = [
            (block.expanded, joined.shape[3], 1, 1),
            (block.expanded, 1, *window.kernel),
            (block.channels_out, block.expanded, 1, 1),
        ]
        geometry = [one, (window.stride, window.padding), one]
        value = joined
        self.convolutions = []
        for index, shape in enumerate(shapes):
            value = self._convolve(value, shape, geometry[index], zero_points[index : index + 2])
        self._add_zero_point = zero_points[4]
        if block.adds_data:
            self._multipliers = self._random.uniform(0.2, 1.5, 2).astype(np.float32)
            value = ops.add(
                value, zero_points[3], data, zero_points[0], tuple(self._multipliers),
                zero_points[4], -120, 101,
            )  # fmt: skip
        self.expected = value

    def operands(self, dot: DotProduct) -> list[NDArray]:
        """All that the kernel takes."""
        block = self.block
        expand, depthwise, project = self.convolutions
        low_weight, weight = np.split(expand.weight, [block.low_channels], axis=1)
        packed = pack_for_dot_product(weight, dot)
        pictures, low_weights = [self.data], []
        if block.low_channels:
            pictures = [self.low, self.data]
            low_weights = [pack_for_dot_product(low_weight, dot)]
        operands = [
            *pictures,
            *low_weights,
            *expand.operands(packed, dot),
            *depthwise.operands(pack_depthwise(depthwise.weight, dot), dot),
            *project.operands(pack_for_dot_product(project.weight, dot), dot),
        ]
        if block.adds_data:
            quant = [project.limits[0], self._add_zero_point, -120, 101, expand.zero_point]
            operands += [self._multipliers, np.array(quant, np.int32)]
        return [*operands, *self.gate]

    def _gated(self, picture: NDArray[np.int8], zero_point: int) -> NDArray[np.int8]:
        """The product of ``picture`` and a gate, whose operands become :attr:`gate`."""
        left, right = (int(z) for z in self._random.integers(-128, 128, 2))
        gate = draw_int8(self._random, (1, 1, 1, picture.shape[3]))
        multiplier = np.float32(self._random.uniform(0.002, 0.01))
        quant = np.array([left, zero_point, -128, 120, right], np.int32)
        self.gate = [gate, np.array([multiplier]), quant]
        return ops.multiply(picture, left, gate, right, multiplier, zero_point, -128, 120)

    def _convolve(self, data, shape, geometry, zero_points) -> NDArray[np.int8]:
        random = self._random
        weight = np.maximum(draw_int8(random, shape), np.int8(self._least_weight))
        bias = random.integers(-1000, 1000, shape[0])
        groups = shape[0] if shape[1] == 1 and shape[2:] != (1, 1) else 1
        accumulator = ops.conv2d(data, zero_points[0], weight, bias, *geometry, groups)
        scale = 60 / max(1.0, float(np.abs(accumulator).mean()))
        multiplier = (scale * random.uniform(0.5, 1.5, shape[0])).astype(np.float32)
        limits = zero_points[1], int(random.choice([-128, -100])), int(random.choice([127, 90]))
        self.convolutions.append(Convolution(weight, bias, multiplier, zero_points[0], limits))
        return ops.requantize(accumulator, multiplier, *limits)


#: Sizes and cuts that are not round: row blocks and channel blocks, one or many, a smaller feature
#: map, windows of other sizes and strides.
BLOCKS = [
    PLAIN,
    replace(PLAIN, row_block=6, channel_block=16),
    replace(
        PLAIN, height=9, width=7, row_block=3, channel_block=16, channels_in=4, channels_out=12
    ),
    replace(PLAIN, row_block=4, adds_data=True),
    replace(PLAIN, row_block=6, channel_block=16, adds_data=True, has_channel_scale=True),
    replace(PLAIN, adds_data=True, has_channel_scale=True),
    replace(
        PLAIN, low_channels=12, factor=2, row_block=4, channel_block=16, has_channel_scale=True
    ),
    replace(PLAIN, low_channels=12, factor=2, row_block=4, channel_block=16),
    replace(PLAIN, low_channels=4, factor=2, row_block=12, channels_out=24),
    replace(PLAIN, width=12, low_channels=8, factor=3, row_block=6, expanded=48, channel_block=16),
    replace(PLAIN, height=13, width=11, window=Window((3, 3), (2, 2), (1, 1, 1, 1)), row_block=7),
    replace(PLAIN, window=Window((3, 3), (2, 1), (0, 1, 1, 1)), row_block=3, channel_block=16),
    replace(PLAIN, window=Window((2, 5), (1, 1), (1, 2, 0, 2)), row_block=4, channel_block=16),
    replace(
        PLAIN, low_channels=4, factor=2, window=Window((3, 3), (2, 2), (1, 1, 1, 1)), row_block=3,
        channel_block=16,
    ),
]  # fmt: skip
