"""Convolutions in groups on a GPU, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_draws import SAME_3X3
from kernel_runner import built_kernel
from reference import ops

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.kernels.gpu.gpu_core import GpuCore

pytestmark = pytest.mark.usefixtures("opencl")

REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)
USUAL = GpuCore(256, 64)


@pytest.mark.parametrize("groups", [3, 12])
def test_convolution_in_groups(groups: int) -> None:
    random, window = np.random.default_rng(groups), Window((3, 3), (2, 1), SAME_3X3)
    data = random.integers(-128, 128, (1, 7, 10, 12)).astype(np.int8)
    weight = random.integers(-127, 128, (24, 12 // groups, 3, 3)).astype(np.int8)
    bias, multiplier = random.integers(-999, 999, 24), np.full(24, 2e-3, np.float32)
    accumulator = ops.conv2d(data, 3, weight, bias, (2, 1), SAME_3X3, groups)
    folded = (bias - 3 * weight.astype(np.int64).sum(axis=(1, 2, 3))).astype(np.int32)
    kernel = built_kernel(
        *(USUAL, create_spatial_conv, data.shape, 24, window, "int8", "int8", REQUANTIZE),
        *(None, groups),
    )
    packed = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
    found = kernel(data, packed, folded, multiplier, np.array([3, -5, -128, 127], np.int32))
    np.testing.assert_array_equal(found, ops.requantize(accumulator, multiplier, -5))
