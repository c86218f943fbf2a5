"""Kernels whose lanes are pixels: rows of planes, from int8 to InstanceNorm and 1x1 convolutions.

Those of this machine's instructions are run; the arm64 tests run the whole head under the emulator.
"""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from dot_instructions import compiled, dots, run_both
from hypothesis import given
from hypothesis import strategies as st
from kernel_draws import SAME_3X3, Conv, draw_int8, draws, seeds, zero_points
from kernel_runner import UNITS, built_kernel
from numpy.typing import NDArray
from reference import ops
from tvm import tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.planar_intrinsics import (
    interleave_pair,
    planar_tile_pair,
    split_groups_pair,
)
from compile.kernels.cpu.instructions.x86_vnni import vnni
from compile.kernels.cpu.norm.planar_norm import (
    create_normalize,
    create_row_statistics,
    create_statistics,
)
from compile.kernels.cpu.planar.planar_conv import create_planar_conv, pack_planar
from compile.kernels.cpu.planar.planar_pointwise import create_planar_pointwise

SCALE = ConvEpilogue(EpilogueKind.SCALE)
BIAS = ConvEpilogue(EpilogueKind.BIAS, 0.0)


@dots
@given(seed=seeds, pick=st.integers(0, 99))
@draws
def test_tile_computes_its_description(
    dot: DotProduct, core: CpuCore, seed: int, pick: int
) -> None:
    random = np.random.default_rng(seed)
    lanes, channels = dot.lanes[pick % len(dot.lanes)], (2, 3, 4)[pick % 3]
    numbers = draw_int8(random, (lanes, dot.group)).astype(np.int64) + dot.shift
    weight = draw_int8(random, (channels, dot.group)).astype(dot.weight_dtype)
    start = random.integers(-(2**31), 2**31, (channels, lanes)).astype(np.int32)
    data = numbers.astype(dot.data_dtype).reshape(-1)
    found = run_both(compiled(planar_tile_pair, dot, channels, lanes), start, data, weight)
    expected = start + np.einsum("lg,ng->nl", numbers, weight.astype(np.int64))
    np.testing.assert_array_equal(found, expected.astype(np.int32))


@pytest.mark.parametrize(("dtype", "group"), [("uint8", 4), ("int16", 2)])
@pytest.mark.parametrize("groups", [2, 3, 4])
@pytest.mark.parametrize("lanes", [4, 16])
def test_groups_are_split_as_described(dtype: str, group: int, groups: int, lanes: int) -> None:
    random = np.random.default_rng(groups)
    data = random.integers(0, 128, (lanes, groups * group)).astype(dtype)
    modules = compiled(split_groups_pair, dtype, groups, group, lanes)
    found = run_both(modules, np.zeros((groups, lanes * group), dtype), data)
    expected = data.reshape(lanes, groups, group).transpose(1, 0, 2).reshape(groups, -1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("channels", "lanes"), [(2, 8), (3, 4), (3, 16), (5, 2)])
def test_planes_are_interleaved_as_described(channels: int, lanes: int) -> None:
    data = np.random.default_rng(0).uniform(size=(channels, lanes)).astype(np.float32)
    modules = compiled(interleave_pair, channels, lanes)
    found = run_both(modules, np.zeros((lanes, channels), np.float32), data)
    np.testing.assert_array_equal(found, data.T)


@pytest.mark.parametrize(
    ("dot", "target", "operand"),
    [
        (
            sdot(),
            {"mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a76", "mattr": ["+dotprod"]},
            ".4b[",
        ),
        (
            vnni(512),
            {"mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v4", "mattr": ["+avx512vnni"]},
            "{1to16}",
        ),
    ],
    ids=["sdot", "vnni"],
)
def test_the_instruction_itself_repeats_the_weights(
    dot: DotProduct, target: dict, operand: str
) -> None:
    _, function = planar_tile_pair(dot, 4, dot.lanes[0])
    mod = tvm.IRModule({"dot": function.with_attr("global_symbol", "dot")})
    built = tvm.tirx.build(mod, target=tvm.target.Target({"kind": "llvm", **target}))
    lines = built.inspect_source("asm").splitlines()
    # LLVM may bring the first one alone into all lanes.
    assert sum(operand in line for line in lines) >= 3


CONVOLUTIONS = [
    Conv((1, 4, 5), 2, 3, 1, SAME_3X3),
    Conv((7, 8, 5), 13, 3, 1, SAME_3X3),
    Conv((9, 48, 16), 12, 3, 1, SAME_3X3),
    Conv((6, 18, 9), 7, 3, 1, (0, 0, 0, 0)),
    Conv((5, 20, 6), 2, 5, 1, (2, 2, 2, 2)),
    Conv((1, 16, 7), 5, 2, 1, (1, 0, 0, 1)),
]


def planar_conv(conv: Conv, dot: DotProduct, epilogue: ConvEpilogue) -> tirx.PrimFunc:
    return create_planar_conv((1, *conv.data), conv.channels_out, conv.window, dot, epilogue)


@dots
@pytest.mark.parametrize("conv", CONVOLUTIONS, ids=str)
@given(zero_point=zero_points, seed=seeds)
@draws
def test_convolution_to_planes(
    conv: Conv, dot: DotProduct, core: CpuCore, zero_point: int, seed: int
) -> None:
    """The accumulator is exact, two float operations follow."""
    random = np.random.default_rng(seed)
    data = draw_int8(random, (1, *conv.data))
    weight = draw_int8(random, conv.weight_shape)
    bias, multiplier = random.uniform(-1, 1, (2, len(weight))).astype(np.float32)
    zeros = np.zeros(len(weight), np.int64)
    accumulator = ops.conv2d(data, zero_point, weight, zeros, (1, 1), conv.padding)
    exact = (accumulator * multiplier.astype(np.float64) + bias).transpose(0, 1, 3, 2)
    offset = -(zero_point + dot.shift) * weight.astype(np.int64).sum(axis=(1, 2, 3))
    found = built_kernel(core, planar_conv, conv, dot, SCALE)(
        data,
        pack_planar(weight, dot),
        bias,
        multiplier,
        offset.astype(np.int32),
        np.array([zero_point, 0, 0, 0], np.int32),
    )
    rounding = 2.0**-23 * (np.abs(exact) + np.abs(bias)[:, None])
    assert np.all(np.abs(found - exact) <= rounding)


@pytest.mark.parametrize("core", UNITS, ids=str)
@pytest.mark.parametrize("interleaved", [False, True], ids=["planes", "interleaved"])
@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1, 1, 1), (1, 2, 3, 16, 1), (3, 5, 12, 48, 6), (2, 3, 6, 21, 3), (1, 2, 40, 16, 15)],
    ids=str,
)
def test_pointwise_convolution_of_planes(
    core: CpuCore, interleaved: bool, shape: tuple[int, ...]
) -> None:
    _, height, channels_in, width, channels_out = shape
    random = np.random.default_rng(sum(shape))
    data = random.uniform(-2, 2, (1, height, channels_in, width)).astype(np.float32)
    weight = draw_int8(random, (channels_in, channels_out))
    bias, scale = random.uniform(-1, 1, (2, channels_out)).astype(np.float32)
    kernel = built_kernel(
        core, create_planar_pointwise, data.shape, channels_out, "int8", SCALE, interleaved
    )
    exact = np.einsum("bykx,kn->byxn", data.astype(np.float64), weight) * scale + bias
    found = kernel(data, weight, bias, scale)
    assert found.shape == ((1, height, width, channels_out) if interleaved else exact_planes(exact))
    channels_last = found if interleaved else found.transpose(0, 1, 3, 2)
    np.testing.assert_allclose(channels_last, exact, rtol=0, atol=2e-3)


def exact_planes(channels_last: NDArray) -> tuple[int, ...]:
    batch, height, width, channels = channels_last.shape
    return batch, height, channels, width


def test_float_weights_serve_too() -> None:
    random = np.random.default_rng(5)
    data = random.uniform(-2, 2, (1, 2, 5, 12)).astype(np.float32)
    weight, bias = (random.uniform(-1, 1, s).astype(np.float32) for s in ((5, 4), 4))
    kernel = built_kernel(UNITS[0], create_planar_pointwise, data.shape, 4, "float32", BIAS, False)
    exact = np.einsum("bykx,kn->bynx", data.astype(np.float64), weight) + bias[:, None]
    np.testing.assert_allclose(kernel(data, weight, bias), np.maximum(exact, 0), atol=1e-5)


@pytest.mark.parametrize("core", UNITS, ids=str)
@pytest.mark.parametrize("shape", [(1, 5, 3, 7), (1, 33, 12, 48), (1, 4, 6, 32), (1, 1, 1, 1)])
@pytest.mark.parametrize("mean", [0.0, 3000.0])
def test_instance_norm_of_planes(
    core: CpuCore, shape: tuple[int, int, int, int], mean: float
) -> None:
    """A mean of a thousand deviations leaves the variance its digits."""
    _, height, channels, width = shape
    random = np.random.default_rng(height)
    data = random.normal(mean, 1.5, shape).astype(np.float32)
    gamma, beta = random.uniform(-2, 2, (2, channels)).astype(np.float32)
    rows = built_kernel(core, create_row_statistics, shape)(data)
    statistics = built_kernel(core, create_statistics, height, channels, width, 1e-5)
    scale_shift = statistics(rows, gamma, beta)
    found = built_kernel(core, create_normalize, shape, 0.0)(data, scale_shift)

    exact = data.astype(np.float64)
    axes = (0, 1, 3)
    deviation = np.sqrt(exact.var(axis=axes, keepdims=True) + 1e-5)
    centred = (exact - exact.mean(axis=axes, keepdims=True)) / deviation
    expected = np.maximum(centred * gamma[:, None] + beta[:, None], 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-3 if mean else 1e-5)
