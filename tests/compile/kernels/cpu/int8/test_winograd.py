"""The whole-number Winograd transform by NumPy, modulo 2^32, against the convolution that it is."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from hypothesis import given
from kernel_draws import draw_int8, draws, seeds
from numpy.typing import NDArray
from tvm import tirx

from compile.kernels.cpu.int8.winograd import (
    RESULTS,
    TAPS,
    accumulator,
    is_exact,
    transform_data,
    transform_sums,
    transform_weight,
)

#: Those of Lavin and Gray, section 4.1, B^T.
B = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)


def matrix_of(transform, dtype: str, count: int) -> NDArray[np.int64]:  # noqa: ANN001
    """Its columns are what a transform of TIR makes of the unit vectors."""
    columns = []
    for n in range(count):
        unit = [tirx.const(int(n == i), dtype) for i in range(count)]
        columns.append([value_of(one) for one in transform(unit)])
    return np.array(columns).T


def value_of(expr: tirx.Expr) -> int:
    """Of an expression of numbers, modulo 2^32 where it is shifted to the right."""
    if isinstance(expr, tirx.IntImm):
        return int(expr.value)
    is_call = isinstance(expr, tvm.ir.Call)
    a, b = map(value_of, expr.args if is_call else (expr.a, expr.b))
    kind = expr.op.name.removeprefix("mqnet.wrapping_") if is_call else type(expr).__name__.lower()
    operators = {
        "add": int.__add__,
        "sub": int.__sub__,
        "mul": int.__mul__,
        "lshift": int.__lshift__,
        "rshift": lambda a, b: ((a + 2**31) % 2**32 - 2**31) >> b,
    }
    return operators[kind](a, b)


A = matrix_of(transform_sums, "int32", TAPS)


def by_transform(data: NDArray[np.int8], weight: NDArray[np.int8]) -> NDArray[np.int32]:
    """A tile's results [O,4,4] for its ``data`` [I,6,6]."""
    transformed = B.astype(np.int64) @ data.astype(np.int64) @ B.T
    assert np.abs(transformed).max() < 2**15
    weights = transform_weight(weight).reshape(*weight.shape[:2], TAPS, TAPS)
    sums = np.einsum("oiab,iab->oab", weights.astype(np.int64), transformed).astype(np.int32)
    products = (A @ sums.astype(np.int64) @ A.T).astype(np.int32)
    inverse = pow(9, -1, 2**32)
    return (products.astype(np.int64) * inverse).astype(np.int32) >> 6


def test_the_data_is_transformed_as_published() -> None:
    np.testing.assert_array_equal(matrix_of(transform_data, "int16", TAPS), B)


@given(seed=seeds)
@draws
def test_it_is_the_convolution(seed: int) -> None:
    random = np.random.default_rng(seed)
    inputs = int(random.integers(1, 229))  # 128 * 127 * 9 * 229 is just below 2^25.
    data, weight = draw_int8(random, (inputs, TAPS, TAPS)), draw_int8(random, (5, inputs, 3, 3))
    weight = np.maximum(weight, -127)
    assert is_exact(weight)
    windows = np.lib.stride_tricks.sliding_window_view(data.astype(np.int64), (3, 3), (1, 2))
    expected = np.einsum("iyxrs,oirs->oyx", windows, weight.astype(np.int64))
    assert expected.shape == (5, RESULTS, RESULTS)
    np.testing.assert_array_equal(by_transform(data, weight), expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_bound_is_where_it_says(sign: int) -> None:
    data = np.full((2**12, TAPS, TAPS), -128, np.int8)
    weight = np.zeros((1, 2**12, 3, 3), np.int8)
    weight[0, :, 1, 1] = -64 * sign  # The accumulator is 2^25 in magnitude.
    assert not is_exact(weight)
    found = by_transform(data, weight)
    assert (found == 2**25 * sign).all() == (sign < 0)
    weight[0, 0, 1, 1] += sign
    assert is_exact(weight)
    assert (by_transform(data, weight) == sign * (2**25 - 128)).all()


def test_the_accumulator_comes_back_from_64_times_9_times_it() -> None:
    for y in (0, 1, -1, 2**25 - 1, -(2**25), 12_345_678):
        product = (576 * y + 2**31) % 2**32 - 2**31
        assert value_of(accumulator(tirx.const(product, "int32"))) == y
