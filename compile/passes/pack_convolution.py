"""Compile-time packing of a convolution's operands, and the kernel that takes them.

Used by both lowerings of convolutions (int8 result and float result). Not a pass itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from compile.errors import GraphError
from compile.kernels.conv_epilogue import ConvEpilogue
from compile.kernels.depthwise import create_depthwise
from compile.kernels.dot_product import DotProduct
from compile.kernels.packed_conv import create_packed_conv
from compile.kernels.packed_depthwise import create_packed_depthwise, pack_depthwise
from compile.kernels.packed_pointwise import create_packed_pointwise
from compile.kernels.packed_weight import pack_for_dot_product
from compile.kernels.pointwise import create_pointwise
from compile.kernels.spatial_conv import create_spatial_conv
from compile.kernels.window import Window
from compile.passes.match_convolution import Convolution

#: Accumulators stay below 2^31 with a bias up to this bound and the products on top of it.
_BIAS_BOUND = 1 << 30


@dataclass(frozen=True)
class PackedConvolution:
    """A kernel and what it takes.

    Attributes:
        kernel: the kernel.
        shape: of its result, NHWC.
        weight: in the kernel's layout and type.
        offset: for int8 data, int64 [O]: takes the data's zero point, and what the kernel's
            instruction adds to the data, out of the accumulator.
    """

    kernel: tirx.PrimFunc
    shape: tuple[int, int, int, int]
    weight: NDArray
    offset: NDArray[np.int64] | None


def pack_convolution(
    convolution: Convolution,
    data_shape: tuple[int, ...],
    data_dtype: str,
    epilogue: ConvEpilogue,
    dot: DotProduct | None,
) -> PackedConvolution:
    """The kernel for ``convolution`` on NHWC data: by the instruction ``dot`` where there is one,
    data and weights are int8 and its vectors suit the channels."""
    weight = convolution.weight
    channels_out = weight.shape[0]
    window = Window(weight.shape[2:], convolution.stride, convolution.padding)
    is_pointwise = window == Window((1, 1), (1, 1), (0, 0, 0, 0))
    is_integer = data_dtype == str(weight.dtype) == "int8"
    shift = 0
    if (
        convolution.groups > 1
        and is_integer
        and dot is not None
        and dot.dividing_lanes(channels_out)
    ):
        shift = dot.shift
        packed = pack_depthwise(weight, dot)
        kernel = create_packed_depthwise(data_shape, window, dot, epilogue)
    elif convolution.groups > 1:
        kernel = create_depthwise(data_shape, window, data_dtype, str(weight.dtype), epilogue)
        packed = weight[:, 0].transpose(1, 2, 0)
    elif is_integer and dot is not None and dot.lanes_for(channels_out):
        shift = dot.shift
        packed = pack_for_dot_product(weight, dot)
        if is_pointwise:
            kernel = create_packed_pointwise(data_shape, channels_out, dot, epilogue)
        else:
            kernel = create_packed_conv(data_shape, channels_out, window, dot, epilogue)
    else:
        dtypes = data_dtype, str(weight.dtype)
        packed = weight.transpose(2, 3, 1, 0)
        if is_pointwise:
            kernel = create_pointwise(data_shape, channels_out, *dtypes, epilogue)
            packed = packed[0, 0]
        else:
            kernel = create_spatial_conv(data_shape, channels_out, window, *dtypes, epilogue)
    return PackedConvolution(
        kernel,
        (1, *window.output_size(data_shape[1], data_shape[2]), channels_out),
        np.ascontiguousarray(packed),
        _offset(convolution, shift) if data_dtype == "int8" else None,
    )


def _offset(convolution: Convolution, shift: int) -> NDArray[np.int64]:
    sums = convolution.weight.astype(np.int64).sum(axis=(1, 2, 3))
    return -(convolution.data.quantization.zero_point + shift) * sums


def accumulator_scale(convolution: Convolution) -> NDArray[np.float64]:
    """s_x * s_w[c], what one unit of the int32 accumulator is worth, float64 [O]."""
    scale = np.float64(convolution.data.quantization.scale)
    return scale * convolution.weight_scale.astype(np.float64)


def integer_bias(convolution: Convolution, offset: NDArray[np.int64]) -> NDArray[np.int32]:
    """int32 [O]: the bias at ``s_x * s_w[c]``, ties to even, with the kernel's ``offset``.

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
    return (bias.astype(np.int64) + offset).astype(np.int32)
