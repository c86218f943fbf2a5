"""The mean of each pixel's channels: one compute, scheduled as elementwise ones."""

from __future__ import annotations

from functools import reduce
from operator import add

from tvm import te, tirx

from compile.kernels.common.kernel_function import create_kernel
from compile.kernels.common.requantize import INPUT_ZERO_POINT, requantize


def create_channel_mean(
    family: str, data_shape: tuple[int, int, int, int], dtype: str
) -> tirx.PrimFunc:
    """The kernel data ``dtype`` [1,H,W,C] -> ``dtype`` [1,H,W,1], of floats through a float32 sum.

    Of int8 it takes more operands, multiplier float32[1] and quant int32[4], and gives
    ``rne(f32(sum(x - z_x)) * f32(s_x / (s_y*C))) + z_y``.
    """
    data = te.placeholder(data_shape, dtype, name="data")
    multiplier = te.placeholder((1,), "float32", name="multiplier")
    quant = te.placeholder((4,), "int32", name="quant")
    *pixels, channels = data_shape
    work = "int32" if dtype == "int8" else "float32"

    def mean(b: tirx.Var, y: tirx.Var, x: tirx.Var, c: tirx.Var) -> tirx.Expr:
        total = reduce(add, (data[b, y, x, channel].astype(work) for channel in range(channels)))
        if dtype != "int8":
            return (total * tirx.const(1 / channels, "float32")).astype(dtype)
        return requantize(total - quant[INPUT_ZERO_POINT] * channels, multiplier[0], quant)

    out = te.compute((*pixels, 1), mean, name="channel_mean")
    return create_kernel(family, [data, *([multiplier, quant] if dtype == "int8" else [])], out)
