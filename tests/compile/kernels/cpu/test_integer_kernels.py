"""Every integer kernel, scheduled and compiled, against the NumPy rules bit for bit.

Few shapes and many draws: a kernel is compiled once per shape and vector unit, hypothesis then
draws zero points, limits, multipliers and data for it.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_draws import (
    SAME_3X3,
    Conv,
    Multipliers,
    Output,
    draw_int8,
    draw_multiplier,
    draws,
    multipliers,
    outputs,
    seeds,
    zero_points,
)
from kernel_runner import UNITS, built_kernel
from numpy.typing import NDArray
from reference import ops

from compile.kernels.common.channel_mean import create_channel_mean
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.plain.depthwise import create_depthwise
from compile.kernels.cpu.plain.elementwise import (
    create_add,
    create_channel_table_lookup,
    create_multiply,
    create_rescale,
    create_table_lookup,
)
from compile.kernels.cpu.plain.mean import create_mean
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv

REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)

cores = pytest.mark.parametrize("core", UNITS, ids=lambda u: f"{u.bits}x{u.registers}t{u.threads}")
POINTWISE = [
    Conv((1, 1, 1), 1),
    Conv((1, 1, 5), 3),
    Conv((7, 11, 13), 19),
    Conv((33, 47, 3), 56),
    Conv((8, 12, 56), 16),
    Conv((7, 11, 16), 48),
]
SPATIAL = [
    Conv((1, 1, 3), 5, 3, 1, SAME_3X3),
    Conv((7, 11, 5), 13, 3, 1, SAME_3X3),
    Conv((33, 47, 3), 16, 3, 2, SAME_3X3),
    Conv((8, 12, 1), 19, 3, 2, (0, 0, 1, 1)),
    Conv((8, 12, 16), 12, 3, 1, SAME_3X3),
    Conv((9, 10, 3), 5, 5, 1, (2, 2, 2, 2)),
    Conv((7, 11, 5), 13, 3, 1, (2, 2, 2, 2), 2),
    Conv((9, 14, 3), 16, 3, 2, (0, 3, 2, 0), 3),
]
DEPTHWISE = [
    Conv((1, 1, 56), None, 3, 1, SAME_3X3),
    Conv((7, 11, 13), None, 3, 1, SAME_3X3),
    Conv((33, 47, 3), None, 3, 2, SAME_3X3),
    Conv((8, 12, 56), None, 3, 2, SAME_3X3),
    Conv((9, 10, 19), None, 5, 1, (2, 2, 2, 2)),
    Conv((7, 11, 5), None, 1),
    Conv((7, 11, 13), None, 3, 1, (2, 2, 2, 2), 2),
]


def run_conv(
    conv: Conv,
    core: CpuCore,
    data: NDArray[np.int8],
    weight: NDArray[np.int8],
    bias: NDArray[np.int64],
    multiplier: NDArray[np.float32],
    data_zero_point: int,
    output: Output,
) -> NDArray[np.int8]:
    """The compiled kernel on OIHW ``weight`` and the plain ``bias``, packed as it wants them."""
    folded = bias - data_zero_point * weight.astype(np.int64).sum(axis=(1, 2, 3))
    quant = np.array([data_zero_point, output.zero_point, output.low, output.high], np.int32)
    shape = (1, *conv.data)
    if conv.channels_out is None:
        kernel = built_kernel(
            core, create_depthwise, shape, conv.window, "int8", "int8", REQUANTIZE
        )
        packed = weight[:, 0].transpose(1, 2, 0)
    elif conv.kernel == 1:
        kernel = built_kernel(
            core, create_pointwise, shape, conv.channels_out, "int8", "int8", REQUANTIZE
        )
        packed = weight[:, :, 0, 0].T
    else:
        kernel = built_kernel(
            core,
            create_spatial_conv,
            *(shape, conv.channels_out, conv.window, "int8", "int8", REQUANTIZE),
        )
        packed = weight.transpose(2, 3, 1, 0)
    packed = np.ascontiguousarray(packed)
    return kernel(data, packed, folded.astype(np.int32), multiplier, quant)


@cores
@pytest.mark.parametrize("conv", [*POINTWISE, *SPATIAL, *DEPTHWISE], ids=str)
@given(data_zero_point=zero_points, output=outputs(), kind=multipliers, seed=seeds)
@draws
def test_convolution(
    conv: Conv,
    core: CpuCore,
    data_zero_point: int,
    output: Output,
    kind: Multipliers,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    data = draw_int8(random, (1, *conv.data))
    weight = draw_int8(random, conv.weight_shape)
    channels = len(weight)
    # Beyond 2^24 a float32 no longer holds every accumulator; beyond 2^30 no bias is allowed.
    bias = random.integers(-1, 2, channels) * random.integers(0, 2 ** random.integers(1, 31))
    accumulator = ops.conv2d(
        data,
        data_zero_point,
        weight,
        bias,
        (conv.stride, conv.stride),
        conv.padding,
        groups=conv.data[2] if conv.channels_out is None else 1,
        dilation=conv.window.dilation,
    )
    multiplier = draw_multiplier(random, kind, accumulator, channels)
    expected = ops.requantize(accumulator, multiplier, output.zero_point, output.low, output.high)
    found = run_conv(conv, core, data, weight, bias, multiplier, data_zero_point, output)
    np.testing.assert_array_equal(found, expected)


#: Accumulator, multiplier and result, computed by hand.
REQUANTIZATIONS = [
    # Ties go to the even number.
    *[(1, 0.5, 0), (3, 0.5, 2), (5, 0.5, 2), (7, 0.5, 4)],
    *[(-1, 0.5, 0), (-3, 0.5, -2), (-5, 0.5, -2), (253, 0.5, 126), (-255, 0.5, -128)],
    # f32(2^24 + 1) = 2^24, which makes a tie; f32(2^24 + 3) = 2^24 + 4, which does not.
    *[(2**24 + 1, 2.0**-25, 0), (2**24 + 3, 2.0**-25, 1), (-(2**24) - 1, 2.0**-25, 0)],
    *[(2**24 + 1, 2.5 * 2.0**-24, 2), (-(2**24) - 1, 2.5 * 2.0**-24, -2)],
    # f32(2^31 - 1) = 2^31.
    *[(2**31 - 1, 2.0**-25, 64), (2**31 - 1, 2.0**-26 * 3, 96), (-(2**31), 2.0**-25, -64)],
    # The product is rounded: 3 * f32(1/6) is a little above 0.5, but 0.5 in float32.
    *[(3, 1 / 6, 0), (9, 1 / 6, 2)],
    # Far beyond int8, and beyond int32 before the clamp.
    *[(1000, 1.0, 127), (-1000, 1.0, -128), (2**31 - 1, 256.0, 127), (-(2**31), 256.0, -128)],
]


def test_reference_requantizes_as_by_hand() -> None:
    for accumulator, multiplier, expected in REQUANTIZATIONS:
        found = ops.requantize(np.array([accumulator]), np.float32(multiplier), 0)
        assert found.tolist() == [expected], (accumulator, multiplier)


@cores
def test_kernel_requantizes_as_by_hand(core: CpuCore) -> None:
    count = len(REQUANTIZATIONS)
    accumulators, by, expected = (np.array(column) for column in zip(*REQUANTIZATIONS, strict=True))
    conv = Conv((1, 1, 1), count)
    found = run_conv(
        conv,
        core,
        np.zeros((1, 1, 1, 1), np.int8),
        np.zeros(conv.weight_shape, np.int8),
        accumulators,
        by.astype(np.float32),
        0,
        Output(0, -128, 127),
    )
    np.testing.assert_array_equal(found.ravel(), expected)


BROADCASTS = [
    ((1, 16, 16, 256), (1, 16, 16, 256)),
    ((1, 1, 1, 5), (1, 1, 1, 5)),
    ((1, 7, 11, 13), (1, 7, 11, 13)),
    ((1, 33, 47, 3), (1, 33, 47, 3)),
    ((1, 7, 11, 56), (1, 1, 1, 56)),
    ((1, 33, 47, 19), (1, 33, 47, 1)),
]


def draw_pair(
    random: np.random.Generator, shape: tuple[int, ...], other: tuple[int, ...]
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Two operands; where there is room for it, every pair of int8 numbers."""
    if shape == other and np.prod(shape) == 256 * 256:
        every = np.arange(-128, 128, dtype=np.int8)
        left, right = np.meshgrid(every, every)
        return left.reshape(shape), right.reshape(shape)
    return draw_int8(random, shape), draw_int8(random, other)


def binary_quant(left: int, right: int, output: Output) -> NDArray[np.int32]:
    return np.array([left, output.zero_point, output.low, output.high, right], np.int32)


@cores
@pytest.mark.parametrize(("shape", "other"), BROADCASTS, ids=str)
@given(left=zero_points, right=zero_points, output=outputs(), seed=seeds)
@draws
def test_add(
    shape: tuple[int, ...],
    other: tuple[int, ...],
    core: CpuCore,
    left: int,
    right: int,
    output: Output,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    a, b = draw_pair(random, shape, other)
    by = np.exp2(random.uniform(-6, 3, 2)).astype(np.float32)
    if random.random() < 0.3:
        by = np.exp2(np.floor(np.log2(by)))  # Ties.
    limits = output.zero_point, output.low, output.high
    expected = ops.add(a, left, b, right, (by[0], by[1]), *limits)
    kernel = built_kernel(core, create_add, shape, other)
    found = kernel(a, b, by, binary_quant(left, right, output))
    np.testing.assert_array_equal(found, expected)


@cores
def test_add_is_not_fused(core: CpuCore) -> None:
    """Both products are rounded, to 200 and -199.5; 0.5 is a tie. Fusing either gives 1."""
    a, b = 31, -9
    by = np.float32(200 / 31), np.float32(199.5 / 9)
    exact = [np.float64(multiplier) * number for multiplier, number in zip(by, (a, b), strict=True)]
    assert exact[0] - 199.5 > 0.5 and 200 + exact[1] > 0.5, "fusing changes nothing"
    shape = (1, 1, 1, 64)
    left, right = np.full(shape, a, np.int8), np.full(shape, b, np.int8)
    assert set(ops.add(left, 0, right, 0, by, 0).flat) == {0}
    quant = binary_quant(0, 0, Output(0, -128, 127))
    found = built_kernel(core, create_add, shape, shape)(left, right, np.array(by), quant)
    assert set(found.flat) == {0}


@cores
@pytest.mark.parametrize(("shape", "other"), BROADCASTS, ids=str)
@given(left=zero_points, right=zero_points, output=outputs(), kind=multipliers, seed=seeds)
@draws
def test_multiply(
    shape: tuple[int, ...],
    other: tuple[int, ...],
    core: CpuCore,
    left: int,
    right: int,
    output: Output,
    kind: Multipliers,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    a, b = draw_pair(random, shape, other)
    product = (a.astype(np.int64) - left) * (b.astype(np.int64) - right)
    by = draw_multiplier(random, kind, product, 1)
    limits = output.zero_point, output.low, output.high
    expected = ops.multiply(a, left, b, right, by[0], *limits)
    kernel = built_kernel(core, create_multiply, shape, other)
    found = kernel(a, b, by, binary_quant(left, right, output))
    np.testing.assert_array_equal(found, expected)


@cores
@pytest.mark.parametrize("shape", [(1, 1, 1, 5), (1, 7, 11, 13), (1, 1, 9, 1), (1, 8, 12, 64)])
@given(data_zero_point=zero_points, output=outputs(), kind=multipliers, seed=seeds)
@draws
def test_channel_mean(
    shape: tuple[int, int, int, int],
    core: CpuCore,
    data_zero_point: int,
    output: Output,
    kind: Multipliers,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    data = draw_int8(random, shape)
    total = (data.astype(np.int64) - data_zero_point).sum(axis=3)
    by = draw_multiplier(random, kind, total, 1)
    limits = output.zero_point, output.low, output.high
    expected = ops.channel_mean(data, data_zero_point, by[0], *limits)
    quant = np.array([data_zero_point, *limits], np.int32)
    kernel = built_kernel(core, create_channel_mean, "elementwise", shape, "int8")
    np.testing.assert_array_equal(kernel(data, by, quant), expected)


@cores
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 5), (1, 7, 11, 13), (1, 33, 47, 3), (1, 8, 12, 56), (1, 256, 256, 1)]
)
@given(data_zero_point=zero_points, output=outputs(), kind=multipliers, seed=seeds)
@draws
def test_mean(
    shape: tuple[int, int, int, int],
    core: CpuCore,
    data_zero_point: int,
    output: Output,
    kind: Multipliers,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    data = draw_int8(random, shape)
    total = (data.astype(np.int64) - data_zero_point).sum(axis=(1, 2))
    by = draw_multiplier(random, kind, total, 1)
    limits = output.zero_point, output.low, output.high
    expected = ops.mean(data, data_zero_point, by[0], *limits)
    quant = np.array([data_zero_point, *limits], np.int32)
    np.testing.assert_array_equal(built_kernel(core, create_mean, shape)(data, by, quant), expected)


@cores
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 7, 11, 3), (1, 33, 47, 5), (1, 4, 8, 16)])
@given(seed=seeds)
@draws
def test_table_lookup(shape: tuple[int, ...], dtype: str, core: CpuCore, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = random.integers(0, 256, shape, dtype=np.uint8).view(dtype)
    table = draw_int8(random, (256,))
    found = built_kernel(core, create_table_lookup, shape, dtype)(data, table)
    np.testing.assert_array_equal(found, ops.look_up(data, table))


@cores
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 7, 11, 3), (1, 4, 8, 16)])
@given(seed=seeds)
@draws
def test_table_for_each_channel(
    shape: tuple[int, int, int, int], dtype: str, core: CpuCore, seed: int
) -> None:
    random = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    data = random.integers(limits.min, limits.max + 1, shape).astype(dtype)
    table = draw_int8(random, (shape[3], 256))
    found = built_kernel(core, create_channel_table_lookup, shape, dtype)(data, table)
    np.testing.assert_array_equal(found, ops.look_up(data, table))


@cores
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 7, 11, 3), (1, 4, 8, 16)])
@given(
    centre=st.integers(-256, 511),
    by=st.floats(0.015625, 8, width=32),
    output=outputs(),
    seed=seeds,
)
@draws
def test_rescale(
    shape: tuple[int, ...],
    dtype: str,
    core: CpuCore,
    centre: int,
    by: float,
    output: Output,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    data = random.integers(0, 256, shape, dtype=np.uint8).view(dtype)
    limits = output.zero_point, output.low, output.high
    expected = ops.requantize(2 * data.astype(np.int64) - centre, np.float32(by), *limits)
    quant = np.array([centre, *limits], np.int32)
    found = built_kernel(core, create_rescale, shape, dtype)(data, np.array([by], "f4"), quant)
    np.testing.assert_array_equal(found, expected)
