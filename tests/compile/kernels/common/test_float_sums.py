"""Sums, means and norms of floats: where TVM's own overflow, lose small numbers or cancel."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from tvm import te, tirx

from compile.kernels.common import float_sums


def computed(function, *arrays: NDArray, **more) -> NDArray:
    """What ``function`` makes of tensors like ``arrays``, without a schedule."""
    tensors = [te.placeholder(one.shape, str(one.dtype), f"x{i}") for i, one in enumerate(arrays)]
    out = function(*tensors, **more)
    library = tvm.compile(te.create_prim_func([*tensors, out]), target="llvm")
    shape = tuple(int(extent) for extent in out.shape)
    result = tvm.runtime.tensor(np.zeros(shape, str(out.dtype)))
    library(*map(tvm.runtime.tensor, arrays), result)
    return result.numpy()


def drawn(*shape: int, dtype: str = "float32") -> NDArray:
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("axes", [None, [1], [-1], [1, 2], [0, 2]], ids=str)
@pytest.mark.parametrize("keepdims", [True, False])
def test_any_axes(axes: list[int] | None, keepdims: bool) -> None:
    """Also along more numbers than are added in one run: 1031 is a prime, 2050 twice a prime."""
    data = drawn(2, 1031, 5) if axes != [-1] else drawn(2, 3, 2050)
    along = None if axes is None else tuple(axes)
    for function, reference in ((float_sums.total, np.sum), (float_sums.mean, np.mean)):
        expected = reference(data.astype("float64"), axis=along, keepdims=keepdims)
        found = computed(function, data, axes=axes, keepdims=keepdims)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_float16_is_summed_up_in_float32() -> None:
    """The sum of these 20,000 is 200,000, and float16 ends at 65504."""
    data = np.full((100, 200), 10, "float16")
    assert computed(float_sums.mean, data, axes=[0, 1], keepdims=False) == 10
    assert computed(float_sums.total, data, axes=[1], keepdims=False).tolist() == [2000] * 100
    shares = computed(lambda x: float_sums.softmax(x, 1, tirx.exp, in_log=False), data[:1])
    np.testing.assert_allclose(shares, 1 / 200, rtol=1e-3)


def test_the_largest_picture_of_one_colour() -> None:
    """Added one by one, 0.1 is lost in the last bits of the sum: 1 part in 40 is missing. An axis
    at a time no sum has more than 1024 + 3 + 1024 + 3 steps, each off by 2^-24 at the most."""
    data = np.full((1536, 2560), 0.1, "float32")
    one_by_one = np.cumsum(data.reshape(-1), dtype="float32")[-1] / data.size
    assert abs(one_by_one / np.float32(0.1) - 1) > 1e-3
    found = computed(float_sums.mean, data, axes=None, keepdims=False)
    assert abs(found / np.float32(0.1) - 1) < 2054 * 2**-24


def planes(dtype: str) -> NDArray:
    """[1, 4, 32, 24]: black, of one colour, all but one pixel, and a checkerboard."""
    data = np.zeros((1, 4, 32, 24), dtype)
    data[:, 1] = 333.25
    data[:, 2], data[0, 2, 5, 7] = 20, 21
    data[:, 3, ::2, ::2] = data[:, 3, 1::2, 1::2] = 60
    return data


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm_of_planes_that_hardly_vary(groups: int, dtype: str) -> None:
    data, (gamma, beta) = planes(dtype), drawn(2, 4, dtype=dtype)
    found = computed(
        lambda *x: float_sums.group_norm(*x, groups, 1, [2, 3], 1e-5), data, gamma, beta
    )
    parts = data.astype("float64").reshape(1, groups, 4 // groups, 32, 24)
    deviations = parts - parts.mean((2, 3, 4), keepdims=True)
    scale = np.sqrt(parts.var((2, 3, 4), keepdims=True) + 1e-5)
    expected = (deviations / scale).reshape(data.shape) * gamma[:, None, None]
    expected += beta[:, None, None]
    tolerance = 2e-3 if dtype == "float16" else 1e-4
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_groups_of_the_last_axis() -> None:
    data, (gamma, beta) = drawn(1, 3, 5, 6), drawn(2, 6)
    arguments = [2, 3, [1, 2], 0.5]
    found = computed(lambda *x: float_sums.group_norm(*x, *arguments), data, gamma, beta)
    parts = data.astype("float64").reshape(1, 3, 5, 2, 3)
    deviations = parts - parts.mean((1, 2, 4), keepdims=True)
    expected = deviations / np.sqrt(parts.var((1, 2, 4), keepdims=True) + 0.5)
    np.testing.assert_allclose(found, expected.reshape(data.shape) * gamma + beta, atol=1e-5)


def test_layer_norm_about_a_large_mean() -> None:
    data, (gamma, beta) = 1000 + drawn(3, 4, 5) * 0.1, drawn(2, 4, 5)
    found = computed(lambda *x: float_sums.layer_norm(*x, [1, 2], 1e-5), data, gamma, beta)
    wide = data.astype("float64")
    deviations = wide - wide.mean((1, 2), keepdims=True)
    expected = deviations / np.sqrt(wide.var((1, 2), keepdims=True) + 1e-5) * gamma + beta
    np.testing.assert_allclose(found, expected, atol=3e-3)  # 2^-14 is 6e-4 of a deviation.


def test_softmax_of_large_numbers() -> None:
    data = drawn(3, 50, 2) * 100
    for in_log, reference in ((False, softmax), (True, log_softmax)):
        found = computed(lambda x, log=in_log: float_sums.softmax(x, -2, tirx.exp, log), data)
        expected = reference(data.astype("float64"), axis=1)
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)
