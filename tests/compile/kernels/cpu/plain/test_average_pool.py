"""Average pooling against NumPy, bit for bit, and of floats against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from kernel_draws import Output, draw_int8, draws, outputs, seeds, zero_points
from kernel_runner import UNITS, built_kernel
from reference import ops

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.average_pool import (
    AveragedWindow,
    create_average_pool,
    create_float_average_pool,
)

cores = pytest.mark.parametrize("core", UNITS, ids=lambda u: f"{u.bits}x{u.registers}t{u.threads}")

POOLINGS = [
    ((1, 8, 12, 16), AveragedWindow(Window((2, 2), (2, 2), (0, 0, 0, 0)), True)),
    ((1, 7, 11, 13), AveragedWindow(Window((3, 3), (1, 1), (1, 1, 1, 1)), True)),
    ((1, 7, 11, 5), AveragedWindow(Window((3, 3), (2, 2), (1, 1, 1, 1)), False)),
    ((1, 5, 3, 64), AveragedWindow(Window((3, 2), (1, 3), (1, 0, 2, 1)), False)),
    ((1, 7, 7, 19), AveragedWindow(Window((7, 7), (7, 7), (0, 0, 0, 0)), True)),
    ((1, 1, 1, 1), AveragedWindow(Window((3, 3), (1, 1), (1, 1, 1, 1)), False)),
]
poolings = pytest.mark.parametrize(("shape", "pooling"), POOLINGS, ids=str)


@cores
@poolings
@given(zero_point=zero_points, output=outputs(), seed=seeds)
@draws
def test_average_pool(
    shape: tuple[int, int, int, int],
    pooling: AveragedWindow,
    core: CpuCore,
    zero_point: int,
    output: Output,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    data, window = draw_int8(random, shape), pooling.window
    # Half of an odd sum is a tie.
    scales = np.float32(random.choice([0.5, 0.07])), np.float32(random.choice([0.5, 0.03]))
    multiplier = np.float64(scales[0]) / (np.float64(scales[1]) * pooling.counts)
    quant = np.array([zero_point, output.zero_point, output.low, output.high], np.int32)
    found = built_kernel(core, create_average_pool, shape, pooling)(
        data, multiplier.astype(np.float32), quant
    )
    geometry = window.kernel, window.stride, window.padding
    limits = output.zero_point, pooling.counts_padding, output.low, output.high
    expected = ops.average_pool(data, zero_point, *geometry, scales, *limits)
    np.testing.assert_array_equal(found, expected)


@poolings
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_of_floats(shape: tuple[int, int, int, int], pooling: AveragedWindow, dtype: str) -> None:
    data = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    kernel = built_kernel(UNITS[0], create_float_average_pool, shape, pooling, dtype)
    found = kernel(data, (1 / pooling.counts).astype(np.float32))
    window, (top, left, bottom, right) = pooling.window, pooling.window.padding
    around = torch.nn.functional.pad(
        torch.from_numpy(data.astype(np.float32)).permute(0, 3, 1, 2), (left, right, top, bottom)
    )
    inside = torch.nn.functional.pad(torch.ones(shape[1:3]), (left, right, top, bottom))
    sums = torch.nn.functional.avg_pool2d(around, window.kernel, window.stride)
    shares = torch.nn.functional.avg_pool2d(inside[None], window.kernel, window.stride)
    expected = sums if pooling.counts_padding else sums / shares
    tolerance = 1e-6 if dtype == "float32" else 2e-3
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1), tolerance, tolerance)
