"""Mean of each window (average pooling): int8 through an int32 sum, or float.

A depthwise convolution without weights: around the feature map stands what a zero is, its zero
point, which adds nothing. Only by how many numbers a sum is divided may differ from pixel to pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import s_tir, te, tirx

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.register_loops import accumulate_in_registers
from compile.kernels.common.requantize import INPUT_ZERO_POINT, requantize
from compile.kernels.common.window import Window, tile_window
from compile.kernels.cpu.plain import depthwise
from compile.kernels.family import KernelFamily

#: Taps of a window, for which no loop is made.
_MOST_UNROLLED = 25


@dataclass(frozen=True)
class AveragedWindow:
    """What is summed, and by how many numbers the sum is divided.

    Attributes:
        window: its geometry.
        counts_padding: each sum is divided by all numbers of the window, those beyond the feature
            map are zeros among them; False: by those inside.
    """

    window: Window
    counts_padding: bool

    @property
    def has_padding(self) -> bool:
        """Whether there is anything around the feature map."""
        return any(self.window.padding)

    @property
    def counts(self) -> NDArray[np.int64]:
        """By what a sum may be divided, in the order of the operand ``multiplier``."""
        taps = prod(self.window.kernel)
        alike = self.counts_padding or not self.has_padding
        return np.array([taps]) if alike else np.arange(1, taps + 1)

    def find(self, y: tirx.Expr, x: tirx.Expr, height: int, width: int) -> tirx.Expr:
        """The place in ``counts`` of what the sum at row ``y`` and column ``x`` is divided by."""
        if len(self.counts) == 1:
            return tirx.const(0, "int32")
        (rows, columns), (top, left, _, _) = self.window.kernel, self.window.padding
        down, across = self.window.stride
        inside = _inside(y * down - top, rows, height) * _inside(x * across - left, columns, width)
        return inside - 1


def _inside(first: tirx.Expr, taps: int, extent: int) -> tirx.Expr:
    return tirx.min(first + taps, extent) - tirx.max(first, 0)


def create_average_pool(
    data_shape: tuple[int, int, int, int], pooling: AveragedWindow
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,C], multiplier float32[N], quant int32[4]) -> int8 [1,OH,OW,C].

    ``rne(f32(sum(x - z_x)) * multiplier[n]) + z_y``, where the multiplier is
    ``s_x / (s_y * count)`` for each of ``pooling.counts``.
    """
    data = te.placeholder(data_shape, "int8", name="data")
    multiplier = te.placeholder((len(pooling.counts),), "float32", name="multiplier")
    quant = te.placeholder((4,), "int32", name="quant")
    taps = prod(pooling.window.kernel)

    def finish(total: tirx.Expr, place: tirx.Expr) -> tirx.Expr:
        centred = total - quant[INPUT_ZERO_POINT] * taps
        return requantize(centred, multiplier[place], quant)

    zero = quant[INPUT_ZERO_POINT].astype("int8")
    out = _average(data, pooling, zero, "int32", finish)
    return create_kernel(FAMILY.name, [data, multiplier, quant], out)


def create_float_average_pool(
    data_shape: tuple[int, int, int, int], pooling: AveragedWindow, dtype: str
) -> tirx.PrimFunc:
    """The kernel (data ``dtype`` [1,H,W,C], multiplier float32[N]) -> ``dtype`` [1,OH,OW,C] through
    a float32 sum, where the multiplier is ``1 / count`` for each of ``pooling.counts``."""
    data = te.placeholder(data_shape, dtype, name="data")
    multiplier = te.placeholder((len(pooling.counts),), "float32", name="multiplier")

    def finish(total: tirx.Expr, place: tirx.Expr) -> tirx.Expr:
        return (total * multiplier[place]).astype(dtype)

    out = _average(data, pooling, tirx.const(0.0, dtype), "float32", finish)
    return create_kernel(FAMILY.name, [data, multiplier], out)


def _average(
    data: te.Tensor,
    pooling: AveragedWindow,
    zero: tirx.Expr,
    acc_dtype: str,
    finish: Callable[[tirx.Expr, tirx.Expr], tirx.Expr],
) -> te.Tensor:
    _, height, width, channels = (int(extent) for extent in data.shape)
    window = pooling.window
    padded = window.pad(data, zero) if pooling.has_padding else data
    ky = te.reduce_axis((0, window.kernel[0]), name="ky")
    kx = te.reduce_axis((0, window.kernel[1]), name="kx")

    def add(b: tirx.Expr, y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        value = padded[(b, *window.position(y, x, ky, kx), c)]
        return te.sum(value.astype(acc_dtype), axis=[ky, kx])

    shape = (1, *window.output_size(height, width), channels)
    total = te.compute(shape, add, name="conv")
    return te.compute(
        shape,
        lambda b, y, x, c: finish(total[b, y, x, c], pooling.find(y, x, height, width)),
        name="epilogue",
    )


def schedule(
    sch: s_tir.Schedule, core: CpuCore, configuration: depthwise.Configuration | None = None
) -> None:
    """Rows to threads; a tile of columns and channels accumulates over the whole window; cut by
    the default configuration unless another one is given."""
    configuration = configuration or depthwise.default_configuration(sch, core)
    tiled = tile_window(sch, core, configuration.tile, configuration.rows)
    axes = sch.get(tiled.block).iter_vars
    taps = prod(int(axis.dom.extent) for axis in axes if axis.iter_type == tirx.IterVar.CommReduce)
    if taps <= _MOST_UNROLLED:
        for loop in tiled.reduction:
            sch.unroll(loop)
    accumulate_in_registers(
        sch, tiled.block, [tiled.column], tiled.channel, tiled.reduction, tiled.lanes
    )


FAMILY = KernelFamily(
    "average_pool",
    "pooling",
    schedule,
    depthwise.Configuration,
    depthwise.configurations,
    depthwise.default_configuration,
)
