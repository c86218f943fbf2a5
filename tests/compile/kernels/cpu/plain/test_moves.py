"""Kernels that compute nothing, against NumPy: what is moved, and the largest of each window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from kernel_draws import draw_int8, draws, seeds
from kernel_runner import UNITS, built_kernel
from reference import ops

from compile.kernels.common.border import Border
from compile.kernels.common.channel_maximum import create_channel_maximum
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.max_pool import create_max_pool
from compile.kernels.cpu.plain.move import (
    create_bordered,
    create_concat,
    create_depth_to_space,
    create_upsample,
)

cores = pytest.mark.parametrize("core", UNITS, ids=lambda u: f"{u.bits}x{u.registers}t{u.threads}")


@cores
@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 7, 11, 13), (1, 3, 5, 56)])
@given(seed=seeds)
@draws
def test_upsample(shape: tuple[int, int, int, int], factor: int, core: CpuCore, seed: int) -> None:
    data = draw_int8(np.random.default_rng(seed), shape)
    found = built_kernel(core, create_upsample, shape, factor, "int8")(data)
    np.testing.assert_array_equal(found, ops.upsample(data, factor))


@cores
@pytest.mark.parametrize("channels", [(1, 1), (16, 3), (5, 13), (8, 48), (3, 19, 56), (9,) * 5])
@given(seed=seeds)
@draws
def test_concat(channels: tuple[int, ...], core: CpuCore, seed: int) -> None:
    random = np.random.default_rng(seed)
    parts = [draw_int8(random, (1, 7, 11, count)) for count in channels]
    found = built_kernel(core, create_concat, 7, 11, channels, "int8")(*parts)
    np.testing.assert_array_equal(found, ops.concat(*parts))


@cores
@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 7, 11, 13), (1, 3, 5, 32)])
@given(seed=seeds)
@draws
def test_depth_to_space(
    shape: tuple[int, int, int, int], factor: int, core: CpuCore, seed: int
) -> None:
    """In PyTorch's order, and with the channels of a pixel together."""
    _, height, width, channels = shape
    data = draw_int8(np.random.default_rng(seed), (1, height, width, channels * factor**2))
    expected = ops.pixel_shuffle(data, factor)
    found = built_kernel(core, create_depth_to_space, data.shape, factor, False, "int8")(data)
    np.testing.assert_array_equal(found, expected)
    order = np.arange(channels * factor**2).reshape(channels, factor**2).T.ravel()
    ordered = np.ascontiguousarray(data[..., order])
    found = built_kernel(core, create_depth_to_space, data.shape, factor, True, "int8")(ordered)
    np.testing.assert_array_equal(found, expected)


@cores
@pytest.mark.parametrize("mode", ["reflect", "replicate", "constant"])
@pytest.mark.parametrize("padding", [(1, 1, 1, 1), (0, 3, 2, 4), (-1, 0, -1, -2)])
@pytest.mark.parametrize("shape", [(1, 3, 5, 1), (1, 7, 11, 13), (1, 4, 5, 64)])
@given(seed=seeds)
@draws
def test_border(
    shape: tuple[int, int, int, int],
    padding: tuple[int, int, int, int],
    mode: str,
    core: CpuCore,
    seed: int,
) -> None:
    data = draw_int8(np.random.default_rng(seed), shape)
    found = built_kernel(core, create_bordered, shape, Border(padding, mode, -7), "int8")(data)
    np.testing.assert_array_equal(found, ops.border(data, padding, mode, -7))


@cores
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 7, 11, 3), (1, 4, 8, 64)])
@given(seed=seeds)
@draws
def test_channel_maximum(shape: tuple[int, int, int, int], core: CpuCore, seed: int) -> None:
    data = draw_int8(np.random.default_rng(seed), shape)
    found = built_kernel(core, create_channel_maximum, "elementwise", shape, "int8")(data)
    np.testing.assert_array_equal(found, ops.channel_maximum(data))


POOLINGS = [
    ((1, 8, 12, 16), Window((2, 2), (2, 2), (0, 0, 0, 0))),
    ((1, 7, 11, 13), Window((2, 2), (2, 2), (0, 0, 0, 0))),
    ((1, 7, 11, 5), Window((3, 3), (2, 2), (1, 1, 1, 1))),
    ((1, 5, 3, 64), Window((3, 2), (1, 3), (1, 0, 1, 0))),
    ((1, 1, 1, 1), Window((3, 3), (1, 1), (1, 1, 1, 1))),
]


@cores
@pytest.mark.parametrize(("shape", "window"), POOLINGS, ids=str)
@given(seed=seeds)
@draws
def test_max_pool(
    shape: tuple[int, int, int, int], window: Window, core: CpuCore, seed: int
) -> None:
    data = draw_int8(np.random.default_rng(seed), shape)
    found = built_kernel(core, create_max_pool, shape, window, "int8")(data)
    expected = ops.max_pool(data, window.kernel, window.stride, window.padding)
    np.testing.assert_array_equal(found, expected)


def test_max_pool_of_floats() -> None:
    shape, window = POOLINGS[2]
    data = np.random.default_rng(0).standard_normal(shape).astype(np.float32) - 5
    found = built_kernel(UNITS[0], create_max_pool, shape, window, "float32")(data)
    padded = torch.nn.functional.max_pool2d(torch.from_numpy(data).permute(0, 3, 1, 2), 3, 2, 1)
    np.testing.assert_array_equal(found, padded.permute(0, 2, 3, 1).numpy())
