"""Compile-time packing of a convolution's operands, and the kernel that takes them.

Used by both lowerings of convolutions (int8 result and float result). Not a pass itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from compile.graph.match_convolution import NHCW, Convolution
from compile.graph.match_upsampled_concat import UpsampledConcat
from compile.kernels.common.conv_epilogue import ConvEpilogue
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.int8_concat_pointwise import create_int8_concat_pointwise
from compile.kernels.cpu.int8.int8_conv import create_int8_conv
from compile.kernels.cpu.int8.int8_depthwise import create_int8_depthwise, pack_depthwise
from compile.kernels.cpu.int8.int8_pointwise import create_int8_pointwise
from compile.kernels.cpu.int8.matrix_pointwise import (
    create_matrix_pointwise,
    pack_matrix,
    serves_matrix,
)
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product
from compile.kernels.cpu.plain.depthwise import create_depthwise
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.kernels.cpu.planar.planar_conv import create_planar_conv, pack_planar
from compile.kernels.cpu.planar.planar_pointwise import create_planar_pointwise
from compile.kernels.gpu.dp4a import WordDot
from compile.kernels.gpu.dp4a_concat_pointwise import create_dp4a_concat_pointwise
from compile.kernels.gpu.dp4a_conv import create_dp4a_conv, pack_words
from compile.kernels.gpu.dp4a_depthwise import create_dp4a_depthwise, pack_depthwise_words
from compile.support.errors import GraphError

#: Accumulators stay below 2^31 with a bias up to this bound and the products on top of it.
_BIAS_BOUND = 1 << 30


_POINTWISE = Window((1, 1), (1, 1), (0, 0, 0, 0))


@dataclass(frozen=True)
class PackedConvolution:
    """A kernel and what it takes.

    Attributes:
        kernel: the kernel.
        shape: of its result, in the convolution's layout.
        weight: in the kernel's layout and type.
        offset: for int8 data, int64 [O]: takes the data's zero point, and what the kernel's
            instruction adds to the data, out of the accumulator.
    """

    kernel: tirx.PrimFunc
    shape: tuple[int, int, int, int]
    weight: NDArray
    offset: NDArray[np.int64] | None


@dataclass(frozen=True)
class PackedConcatConvolution:
    """A kernel over two tensors, and what it takes: as :class:`PackedConvolution`, with the weights
    of each."""

    kernel: tirx.PrimFunc
    shape: tuple[int, int, int, int]
    low_weight: NDArray
    high_weight: NDArray
    offset: NDArray[np.int64]


def pack_convolution(
    convolution: Convolution,
    data_shape: tuple[int, ...],
    data_dtype: str,
    epilogue: ConvEpilogue,
    dot: DotProduct | WordDot | None,
) -> PackedConvolution:
    """The kernel for ``convolution`` on data of ``data_shape`` in its layout: by the instruction
    ``dot`` where there is one that suits it."""
    weight = convolution.weight
    window = Window(weight.shape[2:], convolution.stride, convolution.padding)
    if convolution.data_layout == NHCW:
        kernel = create_planar_pointwise(
            data_shape, weight.shape[0], str(weight.dtype), epilogue, convolution.out_layout != NHCW
        )
        packed, shift = weight[:, :, 0, 0].T, 0
    elif convolution.out_layout == NHCW:
        kernel = create_planar_conv(data_shape, weight.shape[0], window, dot, epilogue)
        packed, shift = pack_planar(weight, dot), dot.shift
    elif isinstance(dot, WordDot) and _is_of_words(convolution, data_dtype):
        kernel, packed = _by_words(convolution, window, data_shape, epilogue)
        shift = 0
    elif isinstance(dot, DotProduct) and _suits(convolution, data_dtype, dot):
        kernel, packed = _by_dot_product(convolution, window, data_shape, dot, epilogue)
        shift = dot.shift
    else:
        kernel, packed = _by_multiplication(
            convolution, window, data_shape, data_dtype, epilogue, dot
        )
        shift = 0
    return PackedConvolution(
        kernel,
        _result_shape(convolution, window, data_shape),
        np.ascontiguousarray(packed),
        _offset(convolution, shift) if data_dtype == "int8" else None,
    )


def pack_concat_convolution(
    convolution: Convolution,
    joined: UpsampledConcat,
    epilogue: ConvEpilogue,
    dot: DotProduct | WordDot | None,
) -> PackedConcatConvolution | None:
    """The kernel for ``convolution`` over what is ``joined``, by the instruction ``dot``; None
    where that does not suit it, or the outputs do not fill its vectors."""
    weight = convolution.weight
    channels_out = weight.shape[0]
    if isinstance(dot, WordDot):
        return _concat_of_words(convolution, joined, epilogue)
    if not isinstance(dot, DotProduct) or not _suits(convolution, "int8", dot):
        return None
    if channels_out % dot.lanes_for(channels_out):
        return None
    columns = int(joined.high.tensor.ty.shape[2])
    if dot.has_smmla and serves_matrix(channels_out, columns):
        # Of the joined tensor it saves more than this would.
        return None
    low_shape, high_shape = (
        tuple(int(extent) for extent in operand.tensor.ty.shape)
        for operand in (joined.low, joined.high)
    )
    return PackedConcatConvolution(
        create_int8_concat_pointwise(
            low_shape, high_shape[3], joined.factor, channels_out, dot, epilogue
        ),
        (*high_shape[:3], channels_out),
        pack_for_dot_product(weight[:, joined.low_channels], dot),
        pack_for_dot_product(weight[:, joined.high_channels], dot),
        _offset(convolution, dot.shift),
    )


def _concat_of_words(
    convolution: Convolution, joined: UpsampledConcat, epilogue: ConvEpilogue
) -> PackedConcatConvolution:
    """As :func:`pack_concat_convolution`, on a GPU."""
    weight = convolution.weight
    low_shape, high_shape = (
        tuple(int(extent) for extent in operand.tensor.ty.shape)
        for operand in (joined.low, joined.high)
    )
    return PackedConcatConvolution(
        create_dp4a_concat_pointwise(
            low_shape, high_shape[3], joined.factor, weight.shape[0], epilogue
        ),
        (*high_shape[:3], weight.shape[0]),
        pack_words(weight[:, joined.low_channels])[0, 0],
        pack_words(weight[:, joined.high_channels])[0, 0],
        _offset(convolution, 0),
    )


def _result_shape(
    convolution: Convolution, window: Window, data_shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    data = dict(zip(convolution.data_layout, data_shape, strict=True))
    rows, columns = window.output_size(data["H"], data["W"])
    result = {"N": 1, "H": rows, "W": columns, "C": convolution.weight.shape[0]}
    return tuple(result[axis] for axis in convolution.out_layout)


def _suits(convolution: Convolution, data_dtype: str, dot: DotProduct) -> bool:
    """Whether ``dot`` computes the convolution: of int8 by int8, no weight too small, and enough
    channels for its vectors."""
    weight = convolution.weight
    if not data_dtype == str(weight.dtype) == "int8" or weight.min() < dot.least_weight:
        return False
    lanes_for = dot.dividing_lanes if convolution.groups > 1 else dot.lanes_for
    return lanes_for(weight.shape[0]) is not None


def _is_of_words(convolution: Convolution, data_dtype: str) -> bool:
    """Whether a GPU's dot product computes the convolution: of int8 by int8."""
    return data_dtype == str(convolution.weight.dtype) == "int8"


def _by_words(
    convolution: Convolution,
    window: Window,
    data_shape: tuple[int, ...],
    epilogue: ConvEpilogue,
) -> tuple[tirx.PrimFunc, NDArray]:
    weight = convolution.weight
    if convolution.groups > 1:
        return create_dp4a_depthwise(data_shape, window, epilogue), pack_depthwise_words(weight)
    return create_dp4a_conv(data_shape, weight.shape[0], window, epilogue), pack_words(weight)


def _by_dot_product(
    convolution: Convolution,
    window: Window,
    data_shape: tuple[int, ...],
    dot: DotProduct,
    epilogue: ConvEpilogue,
) -> tuple[tirx.PrimFunc, NDArray]:
    weight = convolution.weight
    if convolution.groups > 1:
        kernel = create_int8_depthwise(data_shape, window, dot, epilogue)
        return kernel, pack_depthwise(weight, dot)
    if window == _POINTWISE and dot.has_smmla and serves_matrix(weight.shape[0], data_shape[2]):
        return create_matrix_pointwise(data_shape, weight.shape[0], epilogue), pack_matrix(weight)
    if window == _POINTWISE:
        kernel = create_int8_pointwise(data_shape, weight.shape[0], dot, epilogue)
    else:
        kernel = create_int8_conv(data_shape, weight.shape[0], window, dot, epilogue)
    return kernel, pack_for_dot_product(weight, dot)


def _by_multiplication(
    convolution: Convolution,
    window: Window,
    data_shape: tuple[int, ...],
    data_dtype: str,
    epilogue: ConvEpilogue,
    dot: DotProduct | WordDot | None,
) -> tuple[tirx.PrimFunc, NDArray]:
    """Weights as the kernels read them: [KH,KW,I,O], [I,O] for 1x1, [KH,KW,C] depthwise. Dense
    windows have zeros behind the last output where the target's vectors are then filled."""
    weight, dtypes = convolution.weight, (data_dtype, str(convolution.weight.dtype))
    if convolution.groups > 1:
        kernel = create_depthwise(data_shape, window, *dtypes, epilogue)
        return kernel, weight[:, 0].transpose(1, 2, 0)
    packed = weight.transpose(2, 3, 1, 0)
    if window == _POINTWISE:
        kernel = create_pointwise(data_shape, weight.shape[0], *dtypes, epilogue)
        return kernel, packed[0, 0]
    channels = weight.shape[0]
    lanes = dot.lanes_for(channels) if isinstance(dot, DotProduct) else None
    padding = -channels % lanes if lanes is not None else 0
    kernel = create_spatial_conv(
        data_shape, channels, window, *dtypes, epilogue, channels + padding
    )
    return kernel, np.pad(packed, [(0, 0), (0, 0), (0, 0), (0, padding)])


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
