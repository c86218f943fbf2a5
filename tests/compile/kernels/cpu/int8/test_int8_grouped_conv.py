"""Convolutions in groups against NumPy, bit for bit, by the dot product of this machine and by
multiplying number by number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from kernel_draws import SAME_3X3, Output, draw_int8, draws, outputs, seeds, zero_points
from kernel_runner import UNITS, built_kernel
from numpy.typing import NDArray
from reference import ops
from tvm import s_tir

from compile.backends.backend_for import cpu_core
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_products import dot_product_named
from compile.kernels.cpu.int8 import int8_grouped_conv
from compile.kernels.cpu.int8.int8_grouped_conv import create_int8_grouped_conv, pack_grouped
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from targets.load_target import load_target

HOST = load_target("host")
CORE = cpu_core(HOST, 2)
DOT = dot_product_named(HOST.processor.dot_product, HOST.processor.vector_bits)
REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)
#: Groups, inputs and outputs of each, height and width, window.
CONVOLUTIONS = [
    (3, 8, 16, (7, 11), Window((3, 3), (1, 1), SAME_3X3)),
    (13, 8, 8, (9, 12), Window((3, 3), (2, 2), SAME_3X3)),
    (4, 6, 8, (5, 13), Window((3, 3), (1, 1), (2, 2, 2, 2), (2, 2))),
    (2, 16, 32, (1, 1), Window((1, 1), (1, 1), (0, 0, 0, 0))),
    (32, 4, 4, (8, 10), Window((3, 2), (1, 2), (1, 0, 0, 1))),
    (5, 1, 4, (6, 7), Window((3, 3), (1, 1), SAME_3X3)),
]
cases = pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda c: f"{c[0]}x{c[1]}to{c[2]}")


def drawn(case: tuple, zero_point: int, output: Output, seed: int) -> tuple[NDArray, ...]:
    """Data, OIHW weights, bias, multipliers, quant and the expected result."""
    groups, inputs, outputs_of_group, size, window = case
    random, channels = np.random.default_rng(seed), groups * outputs_of_group
    data = draw_int8(random, (1, *size, groups * inputs))
    weight = random.integers(-127, 128, (channels, inputs, *window.kernel)).astype(np.int8)
    bias = random.integers(-(2**16), 2**16, channels)
    accumulator = ops.conv2d(
        data, zero_point, weight, bias, window.stride, window.padding, groups, window.dilation
    )
    multiplier = 60 / max(1.0, np.abs(accumulator).mean()) * random.uniform(0.5, 1.5, channels)
    multiplier = multiplier.astype(np.float32)
    quant = np.array([zero_point, output.zero_point, output.low, output.high], np.int32)
    limits = output.zero_point, output.low, output.high
    return data, weight, bias, multiplier, quant, ops.requantize(accumulator, multiplier, *limits)


@pytest.mark.skipif(DOT is None, reason="this machine has no dot product")
@cases
@given(zero_point=zero_points, output=outputs(), seed=seeds)
@draws
def test_by_dot_product(case: tuple, zero_point: int, output: Output, seed: int) -> None:
    groups, inputs, outputs_of_group, size, window = case
    data, weight, bias, multiplier, quant, expected = drawn(case, zero_point, output, seed)
    shape, channels = (1, *size, groups * inputs), groups * outputs_of_group
    kernel = built_kernel(
        CORE, create_int8_grouped_conv, shape, channels, groups, window, DOT, REQUANTIZE
    )
    sums = weight.astype(np.int64).sum(axis=(1, 2, 3))
    folded = (bias - (zero_point + DOT.shift) * sums).astype(np.int32)
    found = kernel(data, pack_grouped(weight, groups, DOT), folded, multiplier, quant)
    np.testing.assert_array_equal(found, expected)


@cases
@given(zero_point=zero_points, output=outputs(), seed=seeds)
@draws
def test_number_by_number(case: tuple, zero_point: int, output: Output, seed: int) -> None:
    groups, inputs, outputs_of_group, size, window = case
    data, weight, bias, multiplier, quant, expected = drawn(case, zero_point, output, seed)
    shape, channels = (1, *size, groups * inputs), groups * outputs_of_group
    kernel = built_kernel(
        *(UNITS[0], create_spatial_conv, shape, channels, window, "int8", "int8", REQUANTIZE),
        *(None, groups),
    )
    folded = bias - zero_point * weight.astype(np.int64).sum(axis=(1, 2, 3))
    packed = np.ascontiguousarray(weight.transpose(2, 3, 1, 0))
    found = kernel(data, packed, folded.astype(np.int32), multiplier, quant)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(DOT is None, reason="this machine has no dot product")
def test_every_configuration_can_be_scheduled() -> None:
    window = Window((3, 3), (1, 1), SAME_3X3)
    kernel = create_int8_grouped_conv((1, 8, 12, 48), 96, 3, window, DOT, REQUANTIZE)
    kernel = kernel.with_attr("global_symbol", "main")
    found = int8_grouped_conv.configurations(s_tir.Schedule(kernel), CORE)
    default = int8_grouped_conv.default_configuration(s_tir.Schedule(kernel), CORE)
    assert found.count(default) == 1 and len(found) > 10
    for configuration in found[:: len(found) // 10]:
        int8_grouped_conv.schedule(s_tir.Schedule(kernel), CORE, configuration)
