"""Bilinear resizing against NumPy's and PyTorch's, on processors and on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from kernel_draws import draw_int8, draws, seeds
from kernel_runner import UNITS, built_kernel
from reference import ops
from tir_walker import float_violations

from compile.kernels.common.bilinear import count_shares, create_bilinear, create_nearest
from compile.kernels.common.core_model import CpuCore
from compile.kernels.gpu.gpu_core import GpuCore

QUANT = np.array([0, 0, -128, 127], np.int32)
SIZES = [
    ((1, 1, 1, 1), (1, 1)),
    ((1, 1, 2, 3), (5, 1)),
    ((1, 7, 11, 3), (14, 22)),
    ((1, 7, 11, 13), (4, 17)),
    ((1, 9, 5, 16), (9, 5)),
    ((1, 6, 3, 8), (31, 2)),
]

cases = pytest.mark.parametrize(("shape", "size"), SIZES, ids=str)


def resized(core: CpuCore | GpuCore, data: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    shape = data.shape
    kernel = built_kernel(core, create_bilinear, "elementwise", shape, size, "int8")
    return kernel(data, np.array([1 / count_shares(shape, size)], np.float32), QUANT)


@pytest.mark.parametrize("core", UNITS, ids=lambda u: f"{u.bits}x{u.registers}t{u.threads}")
@cases
@given(seed=seeds)
@draws
def test_of_bytes(
    shape: tuple[int, int, int, int], size: tuple[int, int], core: CpuCore, seed: int
) -> None:
    data = draw_int8(np.random.default_rng(seed), shape)
    np.testing.assert_array_equal(resized(core, data, size), ops.resize_bilinear(data, size))


@pytest.mark.usefixtures("opencl")
@cases
def test_on_a_gpu(shape: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    data = draw_int8(np.random.default_rng(sum(shape)), shape)
    found = resized(GpuCore(256, 64), data, size)
    np.testing.assert_array_equal(found, ops.resize_bilinear(data, size))


@cases
def test_of_floats(shape: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    data = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    found = built_kernel(UNITS[0], create_bilinear, "elementwise", shape, size, "float32")(data)
    planes = torch.from_numpy(data).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(planes, size, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1).numpy(), rtol=0, atol=1e-5)


@cases
def test_reference_is_pytorch_rounded(
    shape: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    data = draw_int8(np.random.default_rng(1), shape)
    planes = torch.from_numpy(data).permute(0, 3, 1, 2).double()
    exact = torch.nn.functional.interpolate(planes, size, mode="bilinear", align_corners=False)
    found = ops.resize_bilinear(data, size)
    assert np.abs(found - exact.permute(0, 2, 3, 1).numpy()).max() <= 0.5 + 1e-6


def test_bytes_stay_integers() -> None:
    assert not float_violations(create_bilinear("elementwise", (1, 7, 11, 3), (4, 17), "int8"))


@pytest.mark.parametrize("core", UNITS, ids=lambda u: f"{u.bits}x{u.registers}t{u.threads}")
@cases
@given(seed=seeds)
@draws
def test_aligned_corners_and_nearest_pixels(
    shape: tuple[int, int, int, int], size: tuple[int, int], core: CpuCore, seed: int
) -> None:
    data = draw_int8(np.random.default_rng(seed), shape)
    kernel = built_kernel(core, create_bilinear, "elementwise", shape, size, "int8", True)
    found = kernel(data, np.array([1 / count_shares(shape, size, True)], np.float32), QUANT)
    np.testing.assert_array_equal(found, ops.resize_bilinear(data, size, True))
    found = built_kernel(core, create_nearest, "elementwise", shape, size, "int8")(data)
    np.testing.assert_array_equal(found, ops.resize_nearest(data, size))
    planes = torch.from_numpy(data).permute(0, 3, 1, 2).double()
    near = torch.nn.functional.interpolate(planes, size)
    np.testing.assert_array_equal(found, near.permute(0, 2, 3, 1).numpy())
    exact = torch.nn.functional.interpolate(planes, size, mode="bilinear", align_corners=True)
    rounded = ops.resize_bilinear(data, size, True).astype(np.float64)
    assert np.abs(rounded - exact.permute(0, 2, 3, 1).numpy()).max() <= 0.5001
