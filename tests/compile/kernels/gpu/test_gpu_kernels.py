"""Every kernel of a GPU's network, scheduled and compiled by PoCL, against NumPy: those of integers
bit for bit, at odd sizes too."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import tvm
from hypothesis import given
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
from kernel_runner import built_kernel
from numpy.typing import NDArray
from reference import ops

from compile.codegen.opencl import kernel_sources
from compile.codegen.opencl.dot_product import EXTENSIONS, MACRO
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.elementwise import (
    create_add,
    create_multiply,
    create_rescale,
    create_table_lookup,
)
from compile.kernels.cpu.plain.mean import create_mean
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.kernels.gpu import gpu_norm
from compile.kernels.gpu.dp4a_concat_pointwise import create_dp4a_concat_pointwise
from compile.kernels.gpu.dp4a_conv import create_dp4a_conv, pack_int8x4
from compile.kernels.gpu.dp4a_depthwise import create_dp4a_depthwise, pack_depthwise_int8x4
from compile.kernels.gpu.gpu_core import GpuCore
from compile.passes.apply_default_schedule import apply_default_schedule
from targets.describe_target import tvm_target
from targets.load_target import load_target

pytestmark = pytest.mark.usefixtures("opencl")

REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)
RELU = ConvEpilogue(EpilogueKind.REQUANTIZE, low=0.0)
FLOAT = ConvEpilogue(EpilogueKind.BIAS, low=0.0)
#: A usual device, and one that takes few work items with few registers.
USUAL, SMALL = GpuCore(256, 64), GpuCore(16, 32)
IMAGES = GpuCore(256, 64, image_weights=True)

CONVOLUTIONS = [
    (Conv((1, 1, 1), 1), USUAL),
    (Conv((1, 1, 5), 3), SMALL),
    (Conv((7, 11, 13), 19), USUAL),
    (Conv((33, 47, 8), 56), USUAL),
    (Conv((8, 12, 56), 16), SMALL),
    (Conv((7, 11, 5), 13, 3, 1, SAME_3X3), USUAL),
    (Conv((33, 47, 3), 16, 3, 2, SAME_3X3), USUAL),
    (Conv((8, 12, 16), 12, 3, 1, SAME_3X3), SMALL),
    (Conv((9, 10, 4), 6, 5, 1, (2, 2, 2, 2)), USUAL),
    (Conv((7, 11, 13), None, 3, 1, SAME_3X3), USUAL),
    (Conv((33, 47, 8), None, 3, 2, SAME_3X3), USUAL),
    (Conv((8, 12, 48), None, 3, 1, SAME_3X3), SMALL),
    (Conv((9, 16, 7), None, 5, 1, (2, 2, 2, 2)), USUAL),
    (Conv((7, 11, 5), 13, 3, 1, (2, 2, 2, 2), 2), USUAL),
    (Conv((9, 14, 16), 12, 3, 2, (3, 3, 3, 3), 3), SMALL),
    (Conv((7, 11, 13), None, 3, 1, (2, 2, 2, 2), 2), USUAL),
    (Conv((7, 11, 13), 20), IMAGES),
    (Conv((5, 6, 32), 64, 3, 1, SAME_3X3), IMAGES),
    (Conv((8, 12, 48), None, 3, 1, SAME_3X3), IMAGES),
]


def run_conv(
    conv: Conv,
    core: GpuCore,
    data: NDArray[np.int8],
    weight: NDArray[np.int8],
    bias: NDArray[np.int64],
    multiplier: NDArray[np.float32],
    zero_point: int,
    output: Output,
) -> NDArray[np.int8]:
    """The compiled kernel on OIHW ``weight`` and the plain ``bias``, packed as it wants them."""
    folded = (bias - zero_point * weight.astype(np.int64).sum(axis=(1, 2, 3))).astype(np.int32)
    quant = np.array([zero_point, output.zero_point, output.low, output.high], np.int32)
    shape = (1, *conv.data)
    epilogue = RELU if output.low == output.zero_point else REQUANTIZE
    if conv.channels_out is None:
        packed = pack_depthwise_int8x4(weight)
        arguments = create_dp4a_depthwise, shape, conv.window, epilogue
    else:
        packed = pack_int8x4(weight)
        arguments = create_dp4a_conv, shape, conv.channels_out, conv.window, epilogue
    return built_kernel(core, *arguments)(data, packed, folded, multiplier, quant)


@pytest.mark.parametrize(("conv", "core"), CONVOLUTIONS, ids=str)
@given(zero_point=zero_points, output=outputs(), kind=multipliers, seed=seeds)
@draws
def test_int8_convolution(
    conv: Conv, core: GpuCore, zero_point: int, output: Output, kind: Multipliers, seed: int
) -> None:
    random = np.random.default_rng(seed)
    data = draw_int8(random, (1, *conv.data))
    weight = draw_int8(random, conv.weight_shape)
    bias = random.integers(-1, 2, len(weight)) * random.integers(0, 2 ** random.integers(1, 31))
    strides, groups = (conv.stride, conv.stride), conv.data[2] if conv.channels_out is None else 1
    accumulator = ops.conv2d(
        data,
        zero_point,
        weight,
        bias,
        strides,
        conv.padding,
        groups,
        conv.window.dilation,
    )
    multiplier = draw_multiplier(random, kind, accumulator, len(weight))
    expected = ops.requantize(accumulator, multiplier, output.zero_point, output.low, output.high)
    found = run_conv(conv, core, data, weight, bias, multiplier, zero_point, output)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("low", "high", "factor", "channels", "core"),
    [
        ((5, 7, 8), 12, 2, 10, USUAL),
        ((4, 6, 16), 4, 3, 3, USUAL),
        ((3, 1, 4), 4, 2, 16, USUAL),
        ((3, 5, 7), 3, 2, 16, USUAL),
        ((3, 5, 7), 3, 2, 16, IMAGES),
    ],
    ids=str,
)
@given(zero_point=zero_points, output=outputs(), seed=seeds)
@draws
def test_convolution_over_a_concat(
    low: tuple[int, int, int],
    high: int,
    factor: int,
    channels: int,
    core: GpuCore,
    zero_point: int,
    output: Output,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    rows, columns = low[0] * factor, low[1] * factor
    small, large = draw_int8(random, (1, *low)), draw_int8(random, (1, rows, columns, high))
    weight = draw_int8(random, (channels, low[2] + high, 1, 1))
    joined = ops.concat(ops.upsample(small, factor), large)
    bias = random.integers(-1000, 1000, channels)
    accumulator = ops.conv2d(joined, zero_point, weight, bias, (1, 1), (0, 0, 0, 0))
    multiplier = draw_multiplier(random, Multipliers(60.0, True), accumulator, channels)
    limits = output.zero_point, output.low, output.high
    expected = ops.requantize(accumulator, multiplier, *limits)
    folded = bias - zero_point * weight.astype(np.int64).sum(axis=(1, 2, 3))
    parts = (pack_int8x4(weight[:, : low[2]])[0, 0], pack_int8x4(weight[:, low[2] :])[0, 0])
    kernel = built_kernel(
        core, create_dp4a_concat_pointwise, (1, *low), high, factor, channels, REQUANTIZE
    )
    quant = np.array([zero_point, *limits], np.int32)
    found = kernel(small, large, *parts, folded.astype(np.int32), multiplier, quant)
    np.testing.assert_array_equal(found, expected)


def test_rounds_to_nearest_even_and_saturates() -> None:
    """Ties; what float32 cannot hold; far beyond int8, and beyond int32 before the clamp."""
    cases = [
        *[(1, 0.5, 0), (3, 0.5, 2), (5, 0.5, 2), (-1, 0.5, 0), (-3, 0.5, -2), (253, 0.5, 126)],
        *[(2**24 + 1, 2.0**-25, 0), (2**24 + 3, 2.0**-25, 1), (2**31 - 1, 2.0**-25, 64)],
        *[(3, 1 / 6, 0), (9, 1 / 6, 2), (2**31 - 1, 256.0, 127), (-(2**31), 256.0, -128)],
    ]
    accumulators, by, expected = (np.array(column) for column in zip(*cases, strict=True))
    conv = Conv((1, 1, 1), len(cases))
    data, weight = np.zeros((1, 1, 1, 1), np.int8), np.zeros(conv.weight_shape, np.int8)
    multiplier, output = by.astype(np.float32), Output(0, -128, 127)
    found = run_conv(conv, USUAL, data, weight, accumulators, multiplier, 0, output)
    np.testing.assert_array_equal(found.ravel(), expected)


def test_add_is_not_contracted() -> None:
    """Both products are rounded, to 200 and -199.5; 0.5 is a tie. Fusing either gives 1."""
    by = np.array([np.float32(200 / 31), np.float32(199.5 / 9)])
    shape = (1, 1, 1, 64)
    left, right = np.full(shape, 31, np.int8), np.full(shape, -9, np.int8)
    quant = np.array([0, 0, -128, 127, 0], np.int32)
    found = built_kernel(USUAL, create_add, shape, shape)(left, right, by, quant)
    assert set(found.flat) == {0}


@pytest.mark.parametrize("name", ["add", "multiply"])
@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((1, 7, 11, 13), (1, 7, 11, 13)),
        ((1, 7, 11, 56), (1, 1, 1, 56)),
        ((1, 5, 7, 6), (1, 5, 7, 1)),
        ((1, 5, 7, 24), (1, 5, 7, 1)),
    ],
    ids=str,
)
@given(left=zero_points, right=zero_points, output=outputs(), seed=seeds)
@draws
def test_binary(
    name: str,
    shape: tuple[int, ...],
    other: tuple[int, ...],
    left: int,
    right: int,
    output: Output,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    a, b = draw_int8(random, shape), draw_int8(random, other)
    by = np.exp2(random.uniform(-6, 3, 2)).astype(np.float32)
    limits = output.zero_point, output.low, output.high
    quant = np.array([left, *limits, right], np.int32)
    if name == "add":
        expected = ops.add(a, left, b, right, (by[0], by[1]), *limits)
        found = built_kernel(USUAL, create_add, shape, other)(a, b, by, quant)
    else:
        expected = ops.multiply(a, left, b, right, by[0], *limits)
        found = built_kernel(USUAL, create_multiply, shape, other)(a, b, by[:1], quant)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 1, 1, 5), (1, 7, 11, 13), (1, 8, 12, 56)])
@given(zero_point=zero_points, output=outputs(), kind=multipliers, seed=seeds)
@draws
def test_mean(
    shape: tuple[int, int, int, int],
    zero_point: int,
    output: Output,
    kind: Multipliers,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    data = draw_int8(random, shape)
    total = (data.astype(np.int64) - zero_point).sum(axis=(1, 2))
    by = draw_multiplier(random, kind, total, 1)
    limits = output.zero_point, output.low, output.high
    expected = ops.mean(data, zero_point, by[0], *limits)
    quant = np.array([zero_point, *limits], np.int32)
    found = built_kernel(USUAL, create_mean, shape)(data, by, quant)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 7, 11, 3), (1, 4, 8, 16)])
@given(output=outputs(), seed=seeds)
@draws
def test_unary(shape: tuple[int, ...], output: Output, seed: int) -> None:
    random = np.random.default_rng(seed)
    data, table = random.integers(0, 256, shape, dtype=np.uint8), draw_int8(random, (256,))
    found = built_kernel(USUAL, create_table_lookup, shape, "uint8")(data, table)
    np.testing.assert_array_equal(found, ops.look_up(data, table))
    by, limits = np.float32(random.uniform(0.02, 8)), (output.zero_point, output.low, output.high)
    expected = ops.requantize(2 * data.astype(np.int64) - 77, by, *limits)
    quant = np.array([77, *limits], np.int32)
    found = built_kernel(USUAL, create_rescale, shape, "uint8")(data, np.array([by]), quant)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "conv", [Conv((7, 11, 5), 6), Conv((7, 10, 3), 8, 3, 2, SAME_3X3)], ids=str
)
def test_float_convolution(conv: Conv) -> None:
    random = np.random.default_rng(0)
    data = random.standard_normal((1, *conv.data)).astype(np.float32)
    weight = random.standard_normal(conv.weight_shape).astype(np.float32)
    bias = random.standard_normal(conv.channels_out).astype(np.float32)
    types = "float32", "float32", FLOAT
    if conv.kernel == 1:
        arguments = create_pointwise, (1, *conv.data), conv.channels_out, *types
        packed = weight[:, :, 0, 0].T
    else:
        arguments = create_spatial_conv, (1, *conv.data), conv.channels_out, conv.window, *types
        packed = weight.transpose(2, 3, 1, 0)
    found = built_kernel(USUAL, *arguments)(data, np.ascontiguousarray(packed), bias)
    top, left, bottom, right = conv.padding
    padded = np.pad(data, ((0, 0), (top, bottom), (left, right), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, conv.weight_shape[2:], (1, 2))
    windows = windows[:, :: conv.stride, :: conv.stride]
    expected = np.maximum(np.einsum("bhwikl,oikl->bhwo", windows, weight) + bias, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("first", "deviation"), [(0, 1), (1e4, 1), (0, 0)])
@pytest.mark.parametrize("shape", [(1, 1, 7, 3), (1, 7, 11, 6), (1, 32, 40, 12)])
def test_instance_norm(shape: tuple[int, int, int, int], first: float, deviation: float) -> None:
    """About a mean that is large against the deviations, where E[x^2] - E[x]^2 would cancel; with a
    first element of each row far from the others, for the sums are of differences from it; and with
    no deviation, where 316 times the mean's rounding is all that may be left.
    """
    random = np.random.default_rng(0)
    _, height, width, channels = shape
    data = (100 + deviation * random.standard_normal(shape)).astype(np.float32)
    data[:, :, 0] += first
    gamma, beta = (random.standard_normal(channels).astype(np.float32) for _ in range(2))
    rows = built_kernel(USUAL, gpu_norm.create_row_statistics, shape, "float32")(data)
    statistics = built_kernel(USUAL, gpu_norm.create_statistics, height, width, channels, 1e-5)(
        rows, gamma, beta
    )
    found = built_kernel(USUAL, gpu_norm.create_normalize, shape, 0.0, "float32")(data, statistics)
    exact = data.astype(np.float64)
    centred = exact - exact.mean((1, 2), keepdims=True)
    scale = gamma / np.sqrt(exact.var((1, 2), keepdims=True) + 1e-5)
    tolerance = 2e-4 if deviation else 100 * 316 * 2**-21
    np.testing.assert_allclose(found, np.maximum(centred * scale + beta, 0), atol=tolerance)


def dense_source() -> tuple[tvm.runtime.Executable, str]:
    """A 3x3 convolution of 16 channels."""
    kernel = create_dp4a_conv((1, 8, 8, 16), 8, Window((3, 3), (1, 1), SAME_3X3), REQUANTIZE)
    mod = tvm.IRModule({"kernel": kernel.with_attr("global_symbol", "kernel")})
    spec = load_target("host-opencl")
    with kernel_sources.kernel_sources(spec) as pipeline:
        library = tvm.compile(
            apply_default_schedule(USUAL)(mod), target=tvm_target(spec), tir_pipeline=pipeline
        )
    return library, library.mod.imports[0].inspect_source()


def test_a_word_of_bytes_is_one_load() -> None:
    """Where channels fill words, and behind the condition that pads."""
    _, source = dense_source()
    assert "mqnet_load_char_16(at_" in source and "mqnet_at(data_ptr, " in source
    assert "data_ptr[" not in source
    assert "vload" not in source and "vstore" not in source


def test_the_accumulator_is_in_the_call() -> None:
    """So that one instruction multiplies and adds."""
    _, source = dense_source()
    assert "mqnet_dot4_4(conv_local_ptr[0], " in source and "] + mqnet_dot4" not in source


# What the extensions have, spelled out: PoCL has none of them.
_SPELLINGS = {
    "cl_arm_integer_dot_product_accumulate_int8": "int arm_dot_acc(char4 a, char4 b, int c)",
    "cl_khr_integer_dot_product": "int __attribute__((overloadable)) dot(char4 a, char4 b)",
    "cl_arm_integer_dot_product_int8": "int arm_dot(char4 a, char4 b)",
}


@pytest.mark.parametrize("extension", [*EXTENSIONS, None])
def test_dot_product(opencl: tvm.runtime.Device, extension: str | None) -> None:
    """The driver's extension is called, and with what it does in its place the kernel is right."""
    assert _SPELLINGS.keys() == EXTENSIONS.keys()
    complete, prelude = kernel_sources.complete_source, ""
    if extension is not None:
        added = "c + " if "acc(" in _SPELLINGS[extension] else ""
        prelude = (
            f"#define {MACRO}{extension} 1\n{_SPELLINGS[extension]} {{\n"
            "  int4 p = convert_int4(a) * convert_int4(b);\n"
            f"  return {added}p.x + p.y + p.z + p.w;\n}}\n"
        )

    def with_extension(source: str) -> str:
        text = complete(source)
        if extension is None:
            return text
        # Another definition would be the right one, too.
        assert text.count("#else\n  return sum + (int)") == 1
        text = text.replace("#else\n  return sum + (int)", "#else\n  return 7 * (int)")
        return prelude + text.replace(f"#pragma OPENCL EXTENSION {extension} : enable\n", "")

    with mock.patch.object(kernel_sources, "complete_source", with_extension):
        library, _ = dense_source()
    random = np.random.default_rng(0)
    data, weight = draw_int8(random, (1, 8, 8, 16)), draw_int8(random, (8, 16, 3, 3))
    bias, by = np.zeros(8, np.int32), np.full(8, 1e-3, np.float32)
    quant, out = np.array([0, 3, -128, 127], np.int32), np.zeros((1, 8, 8, 8), np.int8)
    operands = (data, pack_int8x4(weight), bias, by, quant, out)
    tensors = [tvm.runtime.tensor(array, opencl) for array in operands]
    library["kernel"](*tensors)
    expected = ops.requantize(ops.conv2d(data, 0, weight, bias, (1, 1), SAME_3X3), by, 3)
    np.testing.assert_array_equal(tensors[-1].numpy(), expected)
