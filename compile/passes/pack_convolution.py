"""Compile-time packing of a convolution's operands, and the kernel that takes them.

Used by both lowerings of convolutions (int8 result and float result). Not a pass itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from compile.errors import GraphError
from compile.kernels.conv_epilogue import ConvEpilogue
from compile.kernels.depthwise import create_depthwise
from compile.kernels.pointwise import create_pointwise
from compile.kernels.spatial_conv import create_spatial_conv
from compile.kernels.window import Window
from compile.passes.match_convolution import Convolution

#: Accumulators stay below 2^31 with a bias up to this bound and the products on top of it.
_BIAS_BOUND = 1 << 30


def create_convolution(
    convolution: Convolution, data_shape: tuple[int, ...], data_dtype: str, epilogue: ConvEpilogue
) -> tuple[tirx.PrimFunc, tuple[int, ...]]:
    """The kernel for ``convolution`` on NHWC data, and the shape of its result."""
    channels_out = convolution.weight.shape[0]
    window = Window(convolution.weight.shape[2:], convolution.stride, convolution.padding)
    weight_dtype = str(convolution.weight.dtype)
    shape = (1, *window.output_size(data_shape[1], data_shape[2]), channels_out)
    if convolution.groups > 1:
        kernel = create_depthwise(data_shape, window, data_dtype, weight_dtype, epilogue)
    elif window == Window((1, 1), (1, 1), (0, 0, 0, 0)):
        kernel = create_pointwise(data_shape, channels_out, data_dtype, weight_dtype, epilogue)
    else:
        kernel = create_spatial_conv(
            data_shape, channels_out, window, data_dtype, weight_dtype, epilogue
        )
    return kernel, shape


def pack_weight(convolution: Convolution) -> NDArray:
    """The weights as the kernels read them: [KH,KW,I,O], [I,O] for 1x1, [KH,KW,C] depthwise."""
    weight = convolution.weight
    if convolution.groups > 1:
        return np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0))
    packed = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
    is_pointwise = Window(weight.shape[2:], convolution.stride, convolution.padding) == Window(
        (1, 1), (1, 1), (0, 0, 0, 0)
    )
    return packed[0, 0] if is_pointwise else packed


def accumulator_scale(convolution: Convolution) -> NDArray[np.float64]:
    """s_x * s_w[c], what one unit of the int32 accumulator is worth, float64 [O]."""
    scale = np.float64(convolution.data.quantization.scale)
    return scale * convolution.weight_scale.astype(np.float64)


def zero_point_offset(convolution: Convolution) -> NDArray[np.int64]:
    """-z_x * sum of the weights, int64 [O]: takes the data's zero point out of the accumulator."""
    sums = convolution.weight.astype(np.int64).sum(axis=(1, 2, 3))
    return -convolution.data.quantization.zero_point * sums


def integer_bias(convolution: Convolution) -> NDArray[np.int32]:
    """int32 [O]: the bias at ``s_x * s_w[c]``, ties to even, with the zero point's offset.

    Raises:
        GraphError: a bias so large against its channel's scale that int32 cannot hold it.
    """
    bias = np.rint(convolution.bias.astype(np.float64) / accumulator_scale(convolution))
    if np.any(np.abs(bias) > _BIAS_BOUND):
        channel = int(np.argmax(np.abs(bias)))
        raise GraphError(
            f"the bias {convolution.bias[channel]:g} of output channel {channel} needs more than "
            "30 bits at its accumulator's scale: the channel's weights are next to zero, prune it"
        )
    return (bias.astype(np.int64) + zero_point_offset(convolution)).astype(np.int32)
