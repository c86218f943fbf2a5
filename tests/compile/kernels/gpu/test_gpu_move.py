"""A GPU's kernels that compute next to nothing, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from kernel_draws import SAME_3X3, draw_int8
from kernel_runner import built_kernel
from reference import ops
from tvm import te, tirx, topi

from compile.kernels.common.border import Border
from compile.kernels.common.channel_maximum import create_channel_maximum
from compile.kernels.common.channel_mean import create_channel_mean
from compile.kernels.common.rearrangement import (
    Cut,
    Rearrangement,
    create_cut,
    create_rearrangement,
)
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.average_pool import AveragedWindow, create_average_pool
from compile.kernels.cpu.plain.elementwise import create_channel_table_lookup
from compile.kernels.gpu.gpu_core import GpuCore
from compile.kernels.gpu.gpu_move import (
    create_bordered,
    create_concat,
    create_depth_to_space,
    create_max_pool,
    create_upsample,
)

pytestmark = pytest.mark.usefixtures("opencl")

USUAL = GpuCore(256, 64)


@pytest.mark.parametrize(("left", "right"), [(1, 1), (5, 13), (8, 48)])
def test_moves(left: int, right: int) -> None:
    random = np.random.default_rng(left)
    one, other = (draw_int8(random, (1, 7, 11, channels)) for channels in (left, right))
    joined = built_kernel(USUAL, create_concat, 7, 11, (left, right), "int8")(one, other)
    np.testing.assert_array_equal(joined, ops.concat(one, other))
    three = built_kernel(USUAL, create_concat, 7, 11, (left, right, left), "int8")
    np.testing.assert_array_equal(three(one, other, one), ops.concat(one, other, one))
    larger = built_kernel(USUAL, create_upsample, other.shape, 2, "int8")(other)
    np.testing.assert_array_equal(larger, ops.upsample(other, 2))


@pytest.mark.parametrize("channels", [1, 5, 16])
@pytest.mark.parametrize("together", [False, True])
def test_depth_to_space(channels: int, together: bool) -> None:
    data = draw_int8(np.random.default_rng(channels), (1, 3, 7, 4 * channels))
    ordered = data
    if together:
        order = np.arange(4 * channels).reshape(channels, 4).T.ravel()
        ordered = np.ascontiguousarray(data[..., order])
    found = built_kernel(USUAL, create_depth_to_space, data.shape, 2, together, "int8")(ordered)
    np.testing.assert_array_equal(found, ops.pixel_shuffle(data, 2))


@pytest.mark.parametrize("channels", [1, 5, 16])
@pytest.mark.parametrize("mode", ["reflect", "replicate", "constant"])
def test_border(channels: int, mode: str) -> None:
    data = draw_int8(np.random.default_rng(channels), (1, 4, 7, channels))
    for padding in ((1, 3, 2, 1), (-1, 0, -1, -2)):
        border = Border(padding, mode, -7)
        found = built_kernel(USUAL, create_bordered, data.shape, border, "int8")(data)
        np.testing.assert_array_equal(found, ops.border(data, padding, mode, -7))


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_channel_maximum(channels: int) -> None:
    data = draw_int8(np.random.default_rng(channels), (1, 4, 7, channels))
    kernel = built_kernel(USUAL, create_channel_maximum, "elementwise", data.shape, "int8")
    np.testing.assert_array_equal(kernel(data), ops.channel_maximum(data))


@pytest.mark.parametrize("channels", [1, 3, 64])
def test_channel_mean(channels: int) -> None:
    data = draw_int8(np.random.default_rng(channels), (1, 4, 7, channels))
    multiplier, quant = np.array([0.3], np.float32), np.array([5, -9, -100, 90], np.int32)
    kernel = built_kernel(USUAL, create_channel_mean, "elementwise", data.shape, "int8")
    expected = ops.channel_mean(data, 5, multiplier[0], -9, -100, 90)
    np.testing.assert_array_equal(kernel(data, multiplier, quant), expected)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_table_for_each_channel(channels: int, dtype: str) -> None:
    random = np.random.default_rng(channels)
    limits = np.iinfo(dtype)
    data = random.integers(limits.min, limits.max + 1, (1, 4, 7, channels)).astype(dtype)
    table = draw_int8(random, (channels, 256))
    kernel = built_kernel(USUAL, create_channel_table_lookup, data.shape, dtype)
    np.testing.assert_array_equal(kernel(data, table), ops.look_up(data, table))


@pytest.mark.parametrize("channels", [1, 5, 16])
@pytest.mark.parametrize(
    "window", [Window((2, 2), (2, 2), (0,) * 4), Window((3, 3), (2, 2), SAME_3X3)]
)
def test_max_pool(channels: int, window: Window) -> None:
    data = draw_int8(np.random.default_rng(channels), (1, 7, 11, channels))
    found = built_kernel(USUAL, create_max_pool, data.shape, window, "int8")(data)
    expected = ops.max_pool(data, window.kernel, window.stride, window.padding)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("counts_padding", [True, False])
@pytest.mark.parametrize("channels", [1, 13, 16])
@pytest.mark.parametrize(
    "window", [Window((2, 2), (2, 2), (0, 0, 0, 0)), Window((3, 3), (1, 2), SAME_3X3)], ids=str
)
def test_average_pool(channels: int, window: Window, counts_padding: bool) -> None:
    data = draw_int8(np.random.default_rng(channels), (1, 7, 11, channels))
    pooling = AveragedWindow(window, counts_padding)
    scales = np.float32(0.07), np.float32(0.03)
    multiplier = np.float64(scales[0]) / (np.float64(scales[1]) * pooling.counts)
    found = built_kernel(USUAL, create_average_pool, data.shape, pooling)(
        data, multiplier.astype(np.float32), np.array([3, -5, -100, 90], np.int32)
    )
    geometry = window.kernel, window.stride, window.padding
    limits = -5, counts_padding, -100, 90
    expected = ops.average_pool(data, 3, *geometry, scales, *limits)
    np.testing.assert_array_equal(found, expected)


def test_order_and_slices() -> None:
    data = draw_int8(np.random.default_rng(0), (1, 6, 10, 12))
    planes = Rearrangement.of(data.shape).permuted([0, 3, 1, 2]).reshaped((1, 3, 4, 6, 10))
    shuffle = planes.permuted([0, 2, 1, 3, 4]).reshaped((1, 12, 6, 10)).permuted([0, 2, 3, 1])
    found = built_kernel(USUAL, create_rearrangement, "elementwise", shuffle, "int8")(data)
    expected = data.reshape(6, 10, 3, 4).swapaxes(2, 3).reshape(data.shape)
    np.testing.assert_array_equal(found, expected)
    cut = Cut((0, 1, 0, 4), (1, 2, 1, 1), (1, 3, 10, 8))
    found = built_kernel(USUAL, create_cut, "elementwise", data.shape, cut, "int8")(data)
    np.testing.assert_array_equal(found, data[:, 1::2, :, 4:])


@pytest.mark.parametrize("axes", [(1,), (0, 1)])
def test_what_sums_up_and_has_no_family(axes: tuple[int, ...]) -> None:
    def create() -> tirx.PrimFunc:
        data = te.placeholder((70, 5), "int32", name="data")
        return te.create_prim_func([data, topi.sum(data, axes)])

    data = np.random.default_rng(0).integers(-99, 99, (70, 5), dtype=np.int32)
    found = built_kernel(USUAL, create)(data)
    np.testing.assert_array_equal(found, data.sum(axes))
