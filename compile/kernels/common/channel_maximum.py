"""The largest channel of each pixel, of any type: one compute, scheduled as elementwise ones."""

from __future__ import annotations

from functools import reduce

from tvm import te, tirx

from compile.kernels.common.kernel_function import create_kernel

#: Each channel is a load of its own in the kernel's text.
MOST_CHANNELS = 64


def create_channel_maximum(
    family: str, data_shape: tuple[int, int, int, int], dtype: str
) -> tirx.PrimFunc:
    """The kernel data ``dtype`` [1,H,W,C] -> ``dtype`` [1,H,W,1]."""
    data = te.placeholder(data_shape, dtype, name="data")
    *pixels, channels = data_shape

    def largest(b: tirx.Var, y: tirx.Var, x: tirx.Var, c: tirx.Var) -> tirx.Expr:
        return reduce(tirx.max, (data[b, y, x, channel] for channel in range(channels)))

    out = te.compute((*pixels, 1), largest, name="channel_maximum")
    return create_kernel(family, [data], out)
