"""Dense convolution of int8 by int8 for a GPU, NHWC: four input channels at a time.

Four channels of a pixel are a packed int8x4, as they lie in memory; the weights are packed so that
those of neighbouring outputs are neighbours. :mod:`compile.kernels.gpu.gpu_convolution` schedules
it.
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


def create_dp4a_conv(
    data_shape: tuple[int, int, int, int],
    channels_out: int,
    window: Window,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (data int8 [1,H,W,I], weight int32 [KH,KW,I/4,O], epilogue operands) ->
    [1,OH,OW,O].

    Beyond the edge stands the data's zero point, so that its share of the accumulator is the
    constant that the packer has folded into the bias; behind the last channel anything, since the
    weights there are zero.
    """
    _, height, width, channels_in = data_shape
    groups = -(-channels_in // BYTES)
    data = te.placeholder(data_shape, "int8", name="data")
    weight = te.placeholder((*window.kernel, groups, channels_out), "int32", name="weight")
    operands = epilogue.operands(channels_out, "int32")
    start = start_by_channel("conv", epilogue.start(operands))
    finish = epilogue.apply(operands, is_started=True)
    element = padded_element(data, window, padding_value("int8", operands))

    ky = te.reduce_axis((0, window.kernel[0]), name="ky")
    kx = te.reduce_axis((0, window.kernel[1]), name="kx")
    k = te.reduce_axis((0, groups), name="k")

    def multiply(b: tirx.Expr, y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        row, column = window.position(y, x, ky, kx)
        members = [element(row, column, k * BYTES + place) for place in range(BYTES)]
        value = dp4a(packed_int8x4(members), weight[ky, kx, k, n])
        return te.sum(value, axis=[ky, kx, k], init=start.value(b, y, x, n))

    shape = (1, *window.output_size(height, width), channels_out)
    conv = te.compute(shape, multiply, name="conv")
    out = te.compute(shape, lambda b, y, x, n: finish(conv[b, y, x, n], n), name="epilogue")
    macs = prod(shape) * prod(window.kernel) * channels_in
    return create_kernel(FAMILY.name, [data, weight, *operands], out, macs, [start])


def pack_int8x4(weight: NDArray[np.int8]) -> NDArray[np.int32]:
    """OIHW ``weight`` as int32 [KH,KW,I/4,O]: packed int8x4 of four input channels, the first in
    the low byte, zeros behind the last."""
    channels_out, channels_in, *kernel = weight.shape
    groups = -(-channels_in // BYTES)
    padded = np.pad(weight, [(0, 0), (0, groups * BYTES - channels_in), (0, 0), (0, 0)])
    split = padded.reshape(channels_out, groups, BYTES, *kernel).transpose(3, 4, 1, 0, 2)
    return np.ascontiguousarray(split).view("<i4")[..., 0]


FAMILY = convolution_family("word_conv", "dense convolution")
