"""What the backends have in common: numbers that are packed at compile time, and the convolutions
that multiply without a dot product."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from compile.graph.match_convolution import Convolution
from compile.kernels.common.conv_epilogue import ConvEpilogue
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.depthwise import create_depthwise
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.support.errors import GraphError

#: Accumulators stay below 2^31 with a bias up to this bound and the products on top of it.
_BIAS_BOUND = 1 << 30

#: Of a 1x1 convolution.
POINTWISE = Window((1, 1), (1, 1), (0, 0, 0, 0))


def window_of(convolution: Convolution) -> Window:
    """Return the geometry of ``convolution``."""
    rows, columns = convolution.weight.shape[2:]
    return Window((rows, columns), convolution.stride, convolution.padding, convolution.dilation)


def result_shape(
    convolution: Convolution, data_shape: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Return the shape of the result in the convolution's layout, of data in its data layout."""
    data = dict(zip(convolution.data_layout, data_shape, strict=True))
    rows, columns = window_of(convolution).output_size(data["H"], data["W"])
    result = {"N": 1, "H": rows, "W": columns, "C": convolution.weight.shape[0]}
    first, second, third, fourth = (result[axis] for axis in convolution.out_layout)
    return first, second, third, fourth


def plain_convolution(
    convolution: Convolution,
    data_shape: tuple[int, int, int, int],
    data_dtype: str,
    epilogue: ConvEpilogue,
    lanes: int | None = None,
    widens: bool = False,
) -> tuple[tirx.PrimFunc, NDArray]:
    """Return the kernel that multiplies number by number, and its weight; one that ``widens``
    narrow weights once a call, as processors do.

    Weights are as the kernels read them: [KH,KW,I,O] with the I of one group, [I,O] for 1x1,
    [KH,KW,C] depthwise. Dense windows have zeros behind the last output, so that vectors of
    ``lanes`` are filled.
    """
    weight, window = convolution.weight, window_of(convolution)
    dtypes = data_dtype, str(weight.dtype)
    if convolution.is_depthwise:
        kernel = create_depthwise(data_shape, window, *dtypes, epilogue, widens)
        return kernel, weight[:, 0].transpose(1, 2, 0)
    packed = weight.transpose(2, 3, 1, 0)
    if window == POINTWISE and not convolution.is_grouped:
        kernel = create_pointwise(data_shape, weight.shape[0], *dtypes, epilogue, widens)
        return kernel, packed[0, 0]
    channels = weight.shape[0]
    padding = -channels % lanes if lanes is not None and not convolution.is_grouped else 0
    kernel = create_spatial_conv(
        *(data_shape, channels, window, *dtypes, epilogue),
        *(channels + padding, convolution.groups, widens),
    )
    return kernel, np.pad(packed, [(0, 0), (0, 0), (0, 0), (0, padding)])


def zero_point_offset(convolution: Convolution, shift: int = 0) -> NDArray[np.int64]:
    """Return int64 [O]: what takes the data's zero point, and the ``shift`` that an instruction
    adds to the data, out of the accumulator."""
    sums = convolution.weight.astype(np.int64).sum(axis=(1, 2, 3))
    return -(convolution.data.quantization.zero_point + shift) * sums


def accumulator_scale(convolution: Convolution) -> NDArray[np.float64]:
    """Return s_x * s_w[c], what one unit of the int32 accumulator is worth, float64 [O]."""
    scale = np.float64(convolution.data.quantization.scale)
    assert convolution.weight_scale is not None
    return scale * convolution.weight_scale.astype(np.float64)


def integer_bias(convolution: Convolution, offset: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return int32 [O]: the bias at ``s_x * s_w[c]``, ties to even, with the kernel's ``offset``.

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
