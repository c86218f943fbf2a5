"""What tests of integer kernels draw: shapes, quantizations and numbers with hard cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compile.kernels.common.window import Window

SAME_3X3 = (1, 1, 1, 1)

draws = settings(max_examples=6)
zero_points = st.sampled_from([-128, 127, 0]) | st.integers(-128, 127)
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Output:
    """How a kernel's result is quantized."""

    zero_point: int
    low: int
    high: int


@st.composite
def outputs(draw: st.DrawFn) -> Output:
    """Limits as a ReLU, a ReLU6 or no activation gives them, and narrow ones."""
    zero_point = draw(zero_points)
    low = draw(st.sampled_from([-128, zero_point]) | st.integers(-128, 127))
    high = draw(st.sampled_from([127]) | st.integers(low, 127))
    return Output(zero_point, low, high)


@dataclass(frozen=True)
class Multipliers:
    """How :func:`draw_multiplier` makes its float32 numbers.

    Attributes:
        spread: the standard deviation of ``acc * multiplier``: from next to nothing to saturation.
        power_of_two: rounds them down to powers of two, so that half of an odd accumulator is a
            tie.
    """

    spread: float
    power_of_two: bool


multipliers = st.builds(Multipliers, st.sampled_from([0.7, 60.0, 1e4]), st.booleans())


def draw_multiplier(
    random: np.random.Generator, kind: Multipliers, accumulator: NDArray, count: int
) -> NDArray[np.float32]:
    """float32 [count] that suit the size of ``accumulator``."""
    scale = kind.spread / max(1.0, float(np.abs(accumulator).mean()))
    multiplier = (scale * random.uniform(0.5, 1.5, count)).astype(np.float32)
    return np.exp2(np.floor(np.log2(multiplier))) if kind.power_of_two else multiplier


def draw_int8(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Uniform or the two ends only, which make the largest accumulators."""
    if random.random() < 0.3:
        return random.choice(np.array([-128, 127], np.int8), shape)
    return random.integers(-128, 128, shape, dtype=np.int8)


@dataclass(frozen=True)
class Conv:
    """A convolution's shapes; ``channels_out`` is None for a depthwise one."""

    data: tuple[int, int, int]
    channels_out: int | None
    kernel: int = 1
    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: int = 1

    @property
    def window(self) -> Window:
        kernel, stride, dilation = (
            (step, step) for step in (self.kernel, self.stride, self.dilation)
        )
        return Window(kernel, stride, self.padding, dilation)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """OIHW, as PyTorch has it."""
        channels = self.data[2]
        outer = (channels, 1) if self.channels_out is None else (self.channels_out, channels)
        return (*outer, self.kernel, self.kernel)
