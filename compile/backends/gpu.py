"""The backend of a GPU with OpenCL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from tvm import tirx

from compile.backends.backend import (
    Backend,
    NormKernels,
    PackedConcatConvolution,
    PackedConvolution,
)
from compile.backends.packing import (
    plain_convolution,
    result_shape,
    window_of,
    zero_point_offset,
)
from compile.graph.match_convolution import Convolution
from compile.graph.match_upsampled_concat import UpsampledConcat
from compile.kernels.common.border import Border
from compile.kernels.common.conv_epilogue import ConvEpilogue
from compile.kernels.common.window import Window
from compile.kernels.gpu import gpu_elementwise, gpu_move, gpu_norm
from compile.kernels.gpu.dp4a_concat_pointwise import create_dp4a_concat_pointwise
from compile.kernels.gpu.dp4a_conv import create_dp4a_conv, pack_int8x4
from compile.kernels.gpu.dp4a_depthwise import create_dp4a_depthwise, pack_depthwise_int8x4
from compile.kernels.gpu.gpu_core import GpuCore


@dataclass(frozen=True)
class GpuBackend(Backend):
    """The kernels of a GPU like ``core``; int8 by int8 multiplies by dp4a."""

    elementwise_family: ClassVar[str] = gpu_elementwise.FAMILY.name
    kernels_know_relu: ClassVar[bool] = True

    core: GpuCore

    def convolution(
        self,
        convolution: Convolution,
        data_shape: tuple[int, int, int, int],
        data_dtype: str,
        epilogue: ConvEpilogue,
    ) -> PackedConvolution:
        """See :meth:`Backend.convolution`; NHWC only."""
        weight, window = convolution.weight, window_of(convolution)
        is_int8 = data_dtype == str(weight.dtype) == "int8"
        if not is_int8 or convolution.is_grouped:
            kernel, packed = plain_convolution(convolution, data_shape, data_dtype, epilogue)
        elif convolution.groups > 1:
            kernel = create_dp4a_depthwise(data_shape, window, epilogue)
            packed = pack_depthwise_int8x4(weight)
        else:
            kernel = create_dp4a_conv(data_shape, weight.shape[0], window, epilogue)
            packed = pack_int8x4(weight)
        return PackedConvolution(
            kernel,
            result_shape(convolution, data_shape),
            np.ascontiguousarray(packed),
            zero_point_offset(convolution) if data_dtype == "int8" else None,
        )

    def concat_convolution(
        self, convolution: Convolution, joined: UpsampledConcat, epilogue: ConvEpilogue
    ) -> PackedConcatConvolution:
        """See :meth:`Backend.concat_convolution`."""
        weight, (low_shape, high_shape) = convolution.weight, joined.shapes
        return PackedConcatConvolution(
            create_dp4a_concat_pointwise(
                low_shape, high_shape[3], joined.factor, weight.shape[0], epilogue
            ),
            (*high_shape[:3], weight.shape[0]),
            pack_int8x4(weight[:, joined.low_channels])[0, 0],
            pack_int8x4(weight[:, joined.high_channels])[0, 0],
            zero_point_offset(convolution),
        )

    def norm(
        self,
        data_shape: tuple[int, int, int, int],
        dtype: str,
        channel_axis: int,
        epsilon: float,
        low: float | None,
    ) -> NormKernels:
        """See :meth:`Backend.norm`; NHWC only."""
        assert channel_axis == 3
        _, height, width, channels = data_shape
        return NormKernels(
            gpu_norm.create_row_statistics(data_shape, dtype),
            gpu_norm.create_statistics(height, width, channels, epsilon),
            gpu_norm.create_normalize(data_shape, low, dtype),
        )

    def upsample(
        self, data_shape: tuple[int, int, int, int], factor: int, dtype: str
    ) -> tirx.PrimFunc:
        """See :meth:`Backend.upsample`."""
        return gpu_move.create_upsample(data_shape, factor, dtype)

    def concat(self, height: int, width: int, channels: Sequence[int], dtype: str) -> tirx.PrimFunc:
        """See :meth:`Backend.concat`."""
        return gpu_move.create_concat(height, width, channels, dtype)

    def depth_to_space(
        self,
        data_shape: tuple[int, int, int, int],
        factor: int,
        channels_together: bool,
        dtype: str,
    ) -> tirx.PrimFunc:
        """See :meth:`Backend.depth_to_space`."""
        return gpu_move.create_depth_to_space(data_shape, factor, channels_together, dtype)

    def bordered(
        self, data_shape: tuple[int, int, int, int], border: Border, dtype: str
    ) -> tirx.PrimFunc:
        """See :meth:`Backend.bordered`."""
        return gpu_move.create_bordered(data_shape, border, dtype)

    def max_pool(
        self, data_shape: tuple[int, int, int, int], window: Window, dtype: str
    ) -> tirx.PrimFunc:
        """See :meth:`Backend.max_pool`."""
        return gpu_move.create_max_pool(data_shape, window, dtype)
