"""Nearest-neighbour upsampling and concatenation along channels for a GPU, NHWC.

One compute each, where :mod:`compile.kernels.cpu.plain.move` writes loops: a work item copies one
vector of channels, which lies in one of the parts where both have channels that vectors divide.
"""

from __future__ import annotations

from math import gcd

from tvm import te, tirx

from compile.kernels.common.kernel_function import create_kernel
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


def create_concat(height: int, width: int, channels: tuple[int, int], dtype: str) -> tirx.PrimFunc:
    """The kernel (left [1,H,W,A], right [1,H,W,B]) -> [1,H,W,A+B]."""
    first, second = channels
    # So written, the condition is the same for all of a vector.
    piece = vector_length(gcd(first, second), 16)
    left = te.placeholder((1, height, width, first), dtype, name="left")
    right = te.placeholder((1, height, width, second), dtype, name="right")
    out = te.compute(
        (1, height, width, first + second),
        lambda b, y, x, c: tirx.if_then_else(
            c // piece < first // piece, left[b, y, x, c], right[b, y, x, c - first]
        ),
        name="concat",
    )
    return create_kernel(gpu_elementwise.FAMILY.name, [left, right], out)
