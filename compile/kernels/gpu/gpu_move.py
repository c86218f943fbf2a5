"""What computes nothing, on a GPU, NHWC: upsampling, concatenation, depth to space, borders, max
pooling.

One compute each, where :mod:`compile.kernels.cpu.plain.move` writes loops: a work item copies one
vector of channels, which lies in one of the parts where both have channels that vectors divide.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import gcd

from tvm import te, tirx

from compile.kernels.common.border import Border
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.max_pool import max_pool
from compile.kernels.common.window import Window
from compile.kernels.gpu import gpu_elementwise
from compile.kernels.gpu.gpu_core import vector_length


def create_upsample(
    data_shape: tuple[int, int, int, int], factor: int, dtype: str
) -> tirx.PrimFunc:
    """The kernel data [1,H,W,C] -> [1,factor*H,factor*W,C], each pixel repeated."""
    _, height, width, channels = data_shape
    data = te.placeholder(data_shape, dtype, name="data")
    out = te.compute(
        (1, height * factor, width * factor, channels),
        lambda b, y, x, c: data[b, y // factor, x // factor, c],
        name="upsample",
    )
    return create_kernel(gpu_elementwise.FAMILY.name, [data], out)


def create_concat(height: int, width: int, channels: Sequence[int], dtype: str) -> tirx.PrimFunc:
    """The kernel (parts [1,H,W,C_i], one for each of ``channels``) -> [1,H,W,sum of C_i]."""
    # So written, the condition is the same for all of a vector.
    piece = vector_length(gcd(*channels), 16)
    parts = [
        te.placeholder((1, height, width, extent), dtype, name=f"part{number}")
        for number, extent in enumerate(channels)
    ]
    ends = list(accumulate(channels))

    def element(b: tirx.Var, y: tirx.Var, x: tirx.Var, c: tirx.Var) -> tirx.Expr:
        value = parts[-1][b, y, x, c - ends[-2]]
        for number in reversed(range(len(parts) - 1)):
            here = parts[number][b, y, x, c - (ends[number] - channels[number])]
            value = tirx.if_then_else(c // piece < ends[number] // piece, here, value)
        return value

    out = te.compute((1, height, width, ends[-1]), element, name="concat")
    return create_kernel(gpu_elementwise.FAMILY.name, parts, out)


def create_depth_to_space(
    data_shape: tuple[int, int, int, int], factor: int, channels_together: bool, dtype: str
) -> tirx.PrimFunc:
    """The kernel of :func:`compile.kernels.cpu.plain.move.create_depth_to_space`."""
    _, height, width, depth = data_shape
    channels = depth // factor**2
    data = te.placeholder(data_shape, dtype, name="data")

    def element(b: tirx.Var, y: tirx.Var, x: tirx.Var, c: tirx.Var) -> tirx.Expr:
        place = y % factor * factor + x % factor
        source = place * channels + c if channels_together else c * factor**2 + place
        return data[b, y // factor, x // factor, source]

    shape = (1, height * factor, width * factor, channels)
    # Of one channel, a vector would go from pixel to pixel.
    in_runs = channels_together and channels > 1
    out = te.compute(shape, element, name="depth_to_space" if in_runs else "pixel_shuffle")
    return create_kernel(gpu_elementwise.FAMILY.name, [data], out)


def create_bordered(
    data_shape: tuple[int, int, int, int], border: Border, dtype: str
) -> tirx.PrimFunc:
    """The kernel data [1,H,W,C] -> [1,OH,OW,C] with ``border`` around it."""
    _, height, width, channels = data_shape
    data = te.placeholder(data_shape, dtype, name="data")
    out = te.compute(
        (1, *border.output_size(height, width), channels),
        lambda b, y, x, c: border.element(
            lambda row, column: data(b, row, column, c), y, x, (height, width)
        ),
        name="border",
    )
    return create_kernel(gpu_elementwise.FAMILY.name, [data], out)


def create_max_pool(
    data_shape: tuple[int, int, int, int], window: Window, dtype: str
) -> tirx.PrimFunc:
    """The kernel data ``dtype`` [1,H,W,C] -> ``dtype`` [1,OH,OW,C]."""
    data = te.placeholder(data_shape, dtype, name="data")
    return create_kernel(gpu_elementwise.FAMILY.name, [data], max_pool(data, window))
