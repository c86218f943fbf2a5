"""Depthwise convolution of int8 for a GPU, NHWC: four rows of the window at a time.

A packed int8x4 holds the bytes of four rows of one column and channel, another the weights of a
column of the window: a window of 3x3 is three dot products instead of nine multiplications, which a
Mali does at a quarter of the rate of additions. :mod:`compile.kernels.gpu.gpu_convolution`
schedules it.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import NDArray
from tvm import te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, padding_value
from compile.kernels.common.kernel_function import create_kernel, start_by_channel
from compile.kernels.common.window import Window
from compile.kernels.gpu.dp4a import BYTES, dp4a, packed_int8x4
from compile.kernels.gpu.dp4a_window import padded_element
from compile.kernels.gpu.gpu_convolution import convolution_family


def create_dp4a_depthwise(
    data_shape: tuple[int, int, int, int], window: Window, epilogue: ConvEpilogue
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,C], weight int32 [KH/4,KW,C], epilogue operands) ->
    [1,OH,OW,C].

    Beyond the edge stands the data's zero point, as in :mod:`compile.kernels.gpu.dp4a_conv`; rows
    below the window, whose weights are zero, are as its last.
    """
    _, height, width, channels = data_shape
    rows, columns = window.kernel
    groups = -(-rows // BYTES)
    data = te.placeholder(data_shape, "int8", name="data")
    weight = te.placeholder((groups, columns, channels), "int32", name="weight")
    operands = epilogue.operands(channels, "int32")
    start = start_by_channel("conv", epilogue.start(operands))
    finish = epilogue.apply(operands, is_started=True)
    element = padded_element(data, window, padding_value("int8", operands))
    ky = te.reduce_axis((0, groups), name="ky")
    kx = te.reduce_axis((0, columns), name="kx")

    def multiply(b: tirx.Expr, y: tirx.Expr, x: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        top, column = window.position(y, x, tirx.const(0), kx)
        places = [tirx.min(ky * BYTES + place, rows - 1) for place in range(BYTES)]
        members = [element(top + place * window.dilation[0], column, c) for place in places]
        value = dp4a(packed_int8x4(members), weight[ky, kx, c])
        return te.sum(value, axis=[ky, kx], init=start.value(b, y, x, c))

    shape = (1, *window.output_size(height, width), channels)
    conv = te.compute(shape, multiply, name="conv")
    out = te.compute(shape, lambda b, y, x, c: finish(conv[b, y, x, c], c), name="epilogue")
    macs = prod(shape) * prod(window.kernel)
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs, [start])


def pack_depthwise_int8x4(weight: NDArray[np.int8]) -> NDArray[np.int32]:
    """Weights [C,1,KH,KW] as int32 [KH/4,KW,C]: packed int8x4 of four rows of a column, the
    first in the low byte, zeros behind the last."""
    channels, _, rows, columns = weight.shape
    groups = -(-rows // BYTES)
    padded = np.pad(weight[:, 0], [(0, 0), (0, groups * BYTES - rows), (0, 0)])
    split = padded.reshape(channels, groups, BYTES, columns).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(split).view("<i4")[..., 0]


FAMILY = convolution_family("word_depthwise", "depthwise convolution")
