"""The seam between the passes and a device: which kernel computes what, and how weights are packed.

A pass matches something in the graph, asks its backend for the kernel, and calls that. So a new
device is a folder of kernels, a file beside this one and a line in
:func:`compile.backends.backend_for.backend_for`; no pass changes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from tvm import tirx

from compile.graph.match_convolution import Convolution
from compile.graph.match_upsampled_concat import UpsampledConcat
from compile.kernels.common.bilinear import create_bilinear, create_nearest
from compile.kernels.common.border import Border
from compile.kernels.common.channel_maximum import create_channel_maximum
from compile.kernels.common.channel_mean import create_channel_mean
from compile.kernels.common.conv_epilogue import ConvEpilogue
from compile.kernels.common.core_model import CoreModel
from compile.kernels.common.joined_parts import JoinedPart
from compile.kernels.common.rearrangement import (
    Cut,
    Rearrangement,
    create_cut,
    create_rearrangement,
)
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.families import families_of
from compile.kernels.family import KernelFamilies


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


@dataclass(frozen=True)
class NormKernels:
    """What InstanceNorm becomes; the last operand of each kernel is its result.

    Attributes:
        row_statistics: data -> float32 sums and squared deviations, by parts of the feature map.
        statistics: (those, gamma float32 [C], beta float32 [C]) -> float32 scale and shift.
        normalize: (data, scale and shift) -> data * scale + shift, under the lower limit.
    """

    row_statistics: tirx.PrimFunc
    statistics: tirx.PrimFunc
    normalize: tirx.PrimFunc


class Backend(ABC):
    """The kernels of one device.

    Attributes:
        core: what schedules know of the device.
        elementwise_family: which schedules kernels of one result for each element.
        dot_product: the instruction of kernels whose packed weights and blocks of rows suit a
            processor's caches; None: there are no such kernels, and what is made of them is left
            as it is.
        kernels_know_relu: whether an int8 kernel that ends in a ReLU is another one than without.
    """

    core: CoreModel
    elementwise_family: ClassVar[str]
    kernels_know_relu: ClassVar[bool] = False
    dot_product: DotProduct | None = None

    @property
    def families(self) -> KernelFamilies:
        """The device's kernel families."""
        return families_of(self.core.device)

    @abstractmethod
    def convolution(
        self,
        convolution: Convolution,
        data_shape: tuple[int, int, int, int],
        data_dtype: str,
        epilogue: ConvEpilogue,
    ) -> PackedConvolution:
        """Return the kernel for ``convolution`` on data of ``data_shape``, which is in its data
        layout."""

    @abstractmethod
    def concat_convolution(
        self, convolution: Convolution, joined: UpsampledConcat, epilogue: ConvEpilogue
    ) -> PackedConcatConvolution | None:
        """Return the kernel for the 1x1 ``convolution`` of int8 over what is ``joined``, which
        makes neither the upsampled nor the joined tensor; None: there is none that pays."""

    def joined_convolution(
        self, convolution: Convolution, parts: tuple[JoinedPart, ...], epilogue: ConvEpilogue
    ) -> PackedConvolution | None:
        """Return the kernel for ``convolution`` of int8 on the tensors of the ``parts`` of its
        data; None: there is none, or it does not pay."""
        return None

    @abstractmethod
    def norm(
        self,
        data_shape: tuple[int, int, int, int],
        dtype: str,
        channel_axis: int,
        epsilon: float,
        low: float | None,
    ) -> NormKernels:
        """Return the kernels of InstanceNorm of float data, with its lower limit (0.0 for ReLU).

        Args:
            data_shape: [1,H,W,C], or [1,H,C,W] where the backend has convolutions of this layout.
            dtype: float32 or float16.
            channel_axis: 3, or 2.
            epsilon: what is added to the variance.
            low: lower limit of the result, or None.
        """

    @abstractmethod
    def upsample(
        self, data_shape: tuple[int, int, int, int], factor: int, dtype: str
    ) -> tirx.PrimFunc:
        """Return the kernel data [1,H,W,C] -> [1,factor*H,factor*W,C], each pixel repeated."""

    @abstractmethod
    def concat(self, height: int, width: int, channels: Sequence[int], dtype: str) -> tirx.PrimFunc:
        """Return the kernel (parts [1,H,W,C_i], one for each of ``channels``) -> [1,H,W,C]."""

    @abstractmethod
    def depth_to_space(
        self,
        data_shape: tuple[int, int, int, int],
        factor: int,
        channels_together: bool,
        dtype: str,
    ) -> tirx.PrimFunc:
        """Return the kernel data [1,H,W,factor*factor*C] -> [1,factor*H,factor*W,C].

        Row and column of a block of pixels are taken from channel (row * factor + column) * C + c
        where ``channels_together``, else from (c * factor + row) * factor + column."""

    @abstractmethod
    def bordered(
        self, data_shape: tuple[int, int, int, int], border: Border, dtype: str
    ) -> tirx.PrimFunc:
        """Return the kernel data [1,H,W,C] -> [1,OH,OW,C] with ``border`` around it."""

    def nearest(
        self, data_shape: tuple[int, int, int, int], size: tuple[int, int], dtype: str
    ) -> tirx.PrimFunc:
        """Return the kernel data [1,H,W,C] -> [1,*size,C] of nearest pixels, at any size."""
        return create_nearest(self.elementwise_family, data_shape, size, dtype)

    def bilinear(
        self,
        data_shape: tuple[int, int, int, int],
        size: tuple[int, int],
        dtype: str,
        aligned: bool = False,
    ) -> tirx.PrimFunc:
        """Return the kernel data [1,H,W,C] -> [1,*size,C] by PyTorch's half-pixel rule or with
        ``aligned`` corners, of int8 with the operands of
        :func:`compile.kernels.common.bilinear.create_bilinear`."""
        return create_bilinear(self.elementwise_family, data_shape, size, dtype, aligned)

    def channel_maximum(self, data_shape: tuple[int, int, int, int], dtype: str) -> tirx.PrimFunc:
        """Return the kernel data [1,H,W,C] -> [1,H,W,1], the largest channel of each pixel."""
        return create_channel_maximum(self.elementwise_family, data_shape, dtype)

    def channel_mean(self, data_shape: tuple[int, int, int, int], dtype: str) -> tirx.PrimFunc:
        """Return the kernel data [1,H,W,C] -> [1,H,W,1], the mean of each pixel, of int8 with the
        operands of :func:`compile.kernels.common.channel_mean.create_channel_mean`."""
        return create_channel_mean(self.elementwise_family, data_shape, dtype)

    def rearranged(self, arranged: Rearrangement, dtype: str) -> tirx.PrimFunc:
        """Return the kernel data of ``arranged.shape`` -> that of its result."""
        return create_rearrangement(self.elementwise_family, arranged, dtype)

    def cut(self, data_shape: tuple[int, ...], cut: Cut, dtype: str) -> tirx.PrimFunc:
        """Return the kernel data of ``data_shape`` -> what ``cut`` leaves of it."""
        return create_cut(self.elementwise_family, data_shape, cut, dtype)

    @abstractmethod
    def max_pool(
        self, data_shape: tuple[int, int, int, int], window: Window, dtype: str
    ) -> tirx.PrimFunc:
        """Return the kernel data [1,H,W,C] -> [1,OH,OW,C], the largest of each window."""
