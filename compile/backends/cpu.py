"""The backend of a processor's cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from compile.backends.backend import (
    Backend,
    NormKernels,
    PackedConcatConvolution,
    PackedConvolution,
)
from compile.backends.packing import (
    POINTWISE,
    plain_convolution,
    result_shape,
    window_of,
    zero_point_offset,
)
from compile.graph.match_convolution import NHCW, Convolution
from compile.graph.match_upsampled_concat import UpsampledConcat
from compile.graph.quantized_graph import QuantizedTensor
from compile.graph.shapes import feature_map_shape
from compile.kernels.common.border import Border
from compile.kernels.common.conv_epilogue import ConvEpilogue
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.joined_parts import JoinedPart
from compile.kernels.common.rearrangement import Rearrangement
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import pair_product_of
from compile.kernels.cpu.int8.int8_concat_pointwise import create_int8_concat_pointwise
from compile.kernels.cpu.int8.int8_conv import create_int8_conv
from compile.kernels.cpu.int8.int8_depthwise import create_int8_depthwise, pack_depthwise
from compile.kernels.cpu.int8.int8_grouped_conv import (
    create_int8_grouped_conv,
    pack_grouped,
    serves_grouped,
)
from compile.kernels.cpu.int8.int8_pointwise import create_int8_pointwise
from compile.kernels.cpu.int8.matrix_pointwise import (
    create_matrix_pointwise,
    pack_matrix,
    serves_matrix,
)
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product
from compile.kernels.cpu.int8.winograd import is_exact, transform_weight
from compile.kernels.cpu.int8.winograd_conv import (
    create_winograd_conv,
    serves_parts,
    serves_winograd,
)
from compile.kernels.cpu.norm import instance_norm, planar_norm
from compile.kernels.cpu.norm.row_statistics import create_row_statistics
from compile.kernels.cpu.plain import elementwise, max_pool, move
from compile.kernels.cpu.planar.planar_conv import create_planar_conv, pack_planar
from compile.kernels.cpu.planar.planar_parts_conv import (
    create_planar_parts_conv,
    pack_for_parts,
    serves_parts_of_sums,
)
from compile.kernels.cpu.planar.planar_pointwise import create_planar_pointwise
from compile.kernels.cpu.planar.planar_winograd_conv import (
    create_planar_winograd_conv,
    pack_planar_winograd,
    serves_planar_winograd,
)


@dataclass(frozen=True)
class CpuBackend(Backend):
    """The kernels of cores like ``core``, with ``dot_product`` where they have one."""

    elementwise_family: ClassVar[str] = elementwise.FAMILY.name

    core: CpuCore
    dot_product: DotProduct | None = None

    def convolution(
        self,
        convolution: Convolution,
        data_shape: tuple[int, int, int, int],
        data_dtype: str,
        epilogue: ConvEpilogue,
    ) -> PackedConvolution:
        """See :meth:`Backend.convolution`; by the dot product where it suits."""
        dot, weight, shift = self.dot_product, convolution.weight, 0
        if convolution.data_layout == NHCW:
            interleaved = convolution.out_layout != NHCW
            kernel = create_planar_pointwise(
                data_shape, weight.shape[0], str(weight.dtype), epilogue, interleaved
            )
            packed = weight[:, :, 0, 0].T
        elif convolution.out_layout == NHCW:
            assert dot is not None  # Planes are chosen for a dot product only.
            kernel, packed = _to_planes(convolution, data_shape, dot, self.core, epilogue)
            shift = dot.shift
        elif dot is not None and _suits(convolution, data_dtype, dot):
            pairs = _pairs_for(convolution, data_shape, dot, self.core)
            if pairs is not None:
                kernel, packed = _by_winograd(convolution, data_shape, pairs, epilogue)
            else:
                kernel, packed = _by_dot_product(convolution, data_shape, dot, epilogue)
                shift = dot.shift
        else:
            lanes = None if dot is None else dot.find_lanes(weight.shape[0])
            kernel, packed = plain_convolution(
                convolution, data_shape, data_dtype, epilogue, lanes, widens=True
            )
        return PackedConvolution(
            kernel,
            result_shape(convolution, data_shape),
            np.ascontiguousarray(packed),
            zero_point_offset(convolution, shift) if data_dtype == "int8" else None,
        )

    def concat_convolution(
        self, convolution: Convolution, joined: UpsampledConcat, epilogue: ConvEpilogue
    ) -> PackedConcatConvolution | None:
        """See :meth:`Backend.concat_convolution`; None where the dot product does not suit, or the
        outputs do not fill its vectors."""
        dot, weight = self.dot_product, convolution.weight
        channels_out = weight.shape[0]
        if dot is None or not _suits(convolution, "int8", dot):
            return None
        if channels_out % dot.lanes_for(channels_out):
            return None
        columns = int(joined.high.tensor.ty.shape[2])
        if dot.has_smmla and serves_matrix(channels_out, columns):
            # Of the joined tensor it saves more than this would.
            return None
        low_shape, high_shape = joined.shapes
        return PackedConcatConvolution(
            create_int8_concat_pointwise(
                low_shape, high_shape[3], joined.factor, channels_out, dot, epilogue
            ),
            (*high_shape[:3], channels_out),
            pack_for_dot_product(weight[:, joined.low_channels], dot),
            pack_for_dot_product(weight[:, joined.high_channels], dot),
            zero_point_offset(convolution, dot.shift),
        )

    def joined_convolution(
        self, convolution: Convolution, parts: tuple[JoinedPart, ...], epilogue: ConvEpilogue
    ) -> PackedConvolution | None:
        """See :meth:`Backend.joined_convolution`; where the data is transformed anyway."""
        assert isinstance(convolution.data, QuantizedTensor)
        dot, data_shape = self.dot_product, feature_map_shape(convolution.data.tensor)
        if dot is None or not _suits(convolution, "int8", dot):
            return None
        pairs = _pairs_for(convolution, data_shape, dot, self.core)
        if pairs is None or not serves_parts(parts, pairs):
            return None
        kernel, packed = _by_winograd(convolution, data_shape, pairs, epilogue, parts)
        shape, offset = result_shape(convolution, data_shape), zero_point_offset(convolution, 0)
        return PackedConvolution(kernel, shape, np.ascontiguousarray(packed), offset)

    def norm(
        self,
        data_shape: tuple[int, int, int, int],
        dtype: str,
        channel_axis: int,
        epsilon: float,
        low: float | None,
    ) -> NormKernels:
        """See :meth:`Backend.norm`; rows of planes are float32."""
        if channel_axis == 2:
            _, height, channels, width = data_shape
            return NormKernels(
                planar_norm.create_row_statistics(data_shape),
                planar_norm.create_statistics(height, channels, width, epsilon),
                planar_norm.create_normalize(data_shape, low),
            )
        _, height, width, channels = data_shape
        return NormKernels(
            create_row_statistics(data_shape, dtype),
            instance_norm.create_statistics(height, width, channels, epsilon),
            instance_norm.create_normalize(data_shape, low, dtype),
        )

    def upsample(
        self, data_shape: tuple[int, int, int, int], factor: int, dtype: str
    ) -> tirx.PrimFunc:
        """See :meth:`Backend.upsample`."""
        return move.create_upsample(data_shape, factor, dtype)

    def concat(self, height: int, width: int, channels: Sequence[int], dtype: str) -> tirx.PrimFunc:
        """See :meth:`Backend.concat`."""
        return move.create_concat(height, width, channels, dtype)

    def depth_to_space(
        self,
        data_shape: tuple[int, int, int, int],
        factor: int,
        channels_together: bool,
        dtype: str,
    ) -> tirx.PrimFunc:
        """See :meth:`Backend.depth_to_space`."""
        return move.create_depth_to_space(data_shape, factor, channels_together, dtype)

    def bordered(
        self, data_shape: tuple[int, int, int, int], border: Border, dtype: str
    ) -> tirx.PrimFunc:
        """See :meth:`Backend.bordered`."""
        return move.create_bordered(data_shape, border, dtype)

    def rearranged(self, arranged: Rearrangement, dtype: str) -> tirx.PrimFunc:
        """See :meth:`Backend.rearranged`."""
        if arranged.groups is not None:
            return move.create_channel_shuffle(arranged.shape, arranged.groups, dtype)
        return super().rearranged(arranged, dtype)

    def max_pool(
        self, data_shape: tuple[int, int, int, int], window: Window, dtype: str
    ) -> tirx.PrimFunc:
        """See :meth:`Backend.max_pool`."""
        return max_pool.create_max_pool(data_shape, window, dtype)


def _suits(convolution: Convolution, data_dtype: str, dot: DotProduct) -> bool:
    """Whether ``dot`` computes the convolution: of int8 by int8, no weight too small, and enough
    channels for its vectors."""
    weight = convolution.weight
    if not data_dtype == str(weight.dtype) == "int8" or weight.min() < dot.least_weight:
        return False
    if convolution.is_grouped:
        return serves_grouped(weight.shape, convolution.groups, dot)
    if convolution.is_depthwise and convolution.dilation != (1, 1):
        return False  # Its rows, which are packed into words, would have gaps between them.
    if convolution.is_depthwise:
        kernel = weight.shape[2:]
        return dot.find_depthwise_lanes(weight.shape[0], (kernel[0], kernel[1])) is not None
    return dot.find_lanes(weight.shape[0]) is not None


def _pairs_for(
    convolution: Convolution,
    data_shape: tuple[int, int, int, int],
    dot: DotProduct,
    core: CpuCore,
) -> DotProduct | None:
    """The instruction for the convolution's Winograd transform; None where it has none that pays,
    or its sums do not fit."""
    weight, window = convolution.weight, window_of(convolution)
    pairs = pair_product_of(dot, core.bits)
    if pairs is None or convolution.is_grouped or convolution.is_depthwise:
        return None
    size = window.output_size(*data_shape[1:3])
    served = serves_winograd(size, weight.shape, window, pairs)
    return pairs if served and is_exact(weight) else None


def _by_winograd(
    convolution: Convolution,
    data_shape: tuple[int, int, int, int],
    pairs: DotProduct,
    epilogue: ConvEpilogue,
    parts: tuple[JoinedPart, ...] = (),
) -> tuple[tirx.PrimFunc, NDArray]:
    weight, window = convolution.weight, window_of(convolution)
    kernel = create_winograd_conv(data_shape, weight.shape[0], window, pairs, epilogue, parts)
    return kernel, pack_for_dot_product(transform_weight(weight), pairs)


def _to_planes(
    convolution: Convolution,
    data_shape: tuple[int, int, int, int],
    dot: DotProduct,
    core: CpuCore,
    epilogue: ConvEpilogue,
) -> tuple[tirx.PrimFunc, NDArray]:
    """The kernel that makes rows of planes with the fewest multiplications, and its weights."""
    weight, window = convolution.weight, window_of(convolution)
    channels, pairs = weight.shape[0], pair_product_of(dot, core.bits)
    size = window.output_size(*data_shape[1:3])
    # What adds a shift multiplies unsigned bytes, at twice the rate of pairs or more.
    if (
        pairs is not None
        and dot.shift == 0
        and serves_planar_winograd(size, weight.shape, window, pairs, core)
        and is_exact(weight)
    ):
        kernel = create_planar_winograd_conv(data_shape, channels, window, pairs, epilogue)
        return kernel, pack_planar_winograd(weight, pairs)
    if serves_parts_of_sums(weight, size[1], dot, core):
        kernel = create_planar_parts_conv(data_shape, channels, window, dot, epilogue)
        return kernel, pack_for_parts(weight, dot)
    kernel = create_planar_conv(data_shape, channels, window, dot, epilogue)
    return kernel, pack_planar(weight, dot)


def _by_dot_product(
    convolution: Convolution,
    data_shape: tuple[int, int, int, int],
    dot: DotProduct,
    epilogue: ConvEpilogue,
) -> tuple[tirx.PrimFunc, NDArray]:
    weight, window = convolution.weight, window_of(convolution)
    if convolution.is_grouped:
        groups = convolution.groups
        kernel = create_int8_grouped_conv(
            data_shape, weight.shape[0], groups, window, dot, epilogue
        )
        return kernel, pack_grouped(weight, groups, dot)
    if convolution.is_depthwise:
        kernel = create_int8_depthwise(data_shape, window, dot, epilogue)
        return kernel, pack_depthwise(weight, dot)
    if window == POINTWISE and dot.has_smmla and serves_matrix(weight.shape[0], data_shape[2]):
        return create_matrix_pointwise(data_shape, weight.shape[0], epilogue), pack_matrix(weight)
    if window == POINTWISE:
        kernel = create_int8_pointwise(data_shape, weight.shape[0], dot, epilogue)
    else:
        kernel = create_int8_conv(data_shape, weight.shape[0], window, dot, epilogue)
    return kernel, pack_for_dot_product(weight, dot)
