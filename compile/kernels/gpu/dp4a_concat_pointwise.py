"""1x1 convolution of int8 over concat(upsample(low), high) for a GPU, without making either.

See :mod:`compile.kernels.cpu.int8.int8_concat_pointwise` for why this is exact. A work item's tile
holds the columns that share a pixel of ``low``, whose sum it makes once for them.
"""

from __future__ import annotations

from tvm import te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue
from compile.kernels.common.kernel_function import (
    AccumulatorStart,
    create_kernel,
    start_by_channel,
)
from compile.kernels.gpu.dp4a import BYTES, dp4a, packed_int8x4
from compile.kernels.gpu.dp4a_window import clamped_element
from compile.kernels.gpu.gpu_convolution import LOW_BLOCK, convolution_family


def create_dp4a_concat_pointwise(
    low_shape: tuple[int, int, int, int],
    high_channels: int,
    factor: int,
    channels_out: int,
    epilogue: ConvEpilogue,
) -> tirx.PrimFunc:
    """The kernel (low int8 [1,H/factor,W/factor,A], high int8 [1,H,W,B], weights int32 [A/4,O] and
    [B/4,O] as :func:`compile.kernels.gpu.dp4a_conv.pack_int8x4` makes them, epilogue operands) ->
    [1,H,W,O]."""
    _, low_height, low_width, low_channels = low_shape
    height, width = low_height * factor, low_width * factor
    low = te.placeholder(low_shape, "int8", name="low")
    high = te.placeholder((1, height, width, high_channels), "int8", name="high")
    low_weight, high_weight = (
        te.placeholder((-(-channels // BYTES), channels_out), "int32", name=name)
        for channels, name in ((low_channels, "low_weight"), (high_channels, "high_weight"))
    )
    operands = epilogue.operands(channels_out, "int32")
    # An int32 sum is the same in any order, so the parts of it are one accumulator.
    bias = start_by_channel(LOW_BLOCK, epilogue.start(operands))
    finish = epilogue.apply(operands, is_started=True)
    low_conv = _accumulator(low, low_weight, bias)
    low_sum = AccumulatorStart("conv", low_conv, lambda y, x, n: (y // factor, x // factor, n))
    conv = _accumulator(high, high_weight, low_sum)
    out = te.compute(
        (1, height, width, channels_out),
        lambda b, y, x, n: finish(conv[y, x, n], n),
        name="epilogue",
    )
    macs = height * width * (low_channels + high_channels) * channels_out
    arguments = [low, high, low_weight, high_weight, *operands]
    return create_kernel(FAMILY.name, arguments, out, macs, [bias, low_sum])


def _accumulator(data: te.Tensor, weight: te.Tensor, start: AccumulatorStart) -> te.Tensor:
    _, height, width, _ = data.shape
    groups, channels_out = weight.shape
    k = te.reduce_axis((0, groups), name="k")
    element = clamped_element(data)

    def multiply(y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
        members = [element(y, x, k * BYTES + place) for place in range(BYTES)]
        value = dp4a(packed_int8x4(members), weight[k, n])
        return te.sum(value, axis=k, init=start.value(y, x, n))

    return te.compute((height, width, channels_out), multiply, name=start.block)


FAMILY = convolution_family("word_concat_pointwise", "1x1 convolution")
