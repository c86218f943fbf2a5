"""3x3 convolutions by the Winograd transform against NumPy, bit for bit, by the instructions of
this machine; of the others the assembly is looked at."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import tvm
from dot_instructions import compiled, run_both, runnable
from hypothesis import given
from kernel_draws import Output, draw_int8, draws, outputs, seeds, zero_points
from kernel_runner import built_kernel
from numpy.typing import NDArray
from reference import ops
from tir_walker import float_violations
from tvm import s_tir

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.joined_parts import JoinedPart
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_intrinsics import DotTile, tile_pair
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import dot_product_named, pair_product_of
from compile.kernels.cpu.int8 import winograd_schedule
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product
from compile.kernels.cpu.int8.winograd import is_exact, transform_weight
from compile.kernels.cpu.int8.winograd_conv import (
    create_winograd_conv,
    serves_parts,
    serves_winograd,
)

REQUANTIZE, SCALE = (ConvEpilogue(kind) for kind in (EpilogueKind.REQUANTIZE, EpilogueKind.SCALE))


def dilated(step: int) -> Window:
    return Window((3, 3), (1, 1), (step,) * 4, (step, step))


SAME = dilated(1)
PAIRS = [(pair_product_of(dot, core.bits), core) for dot, core in runnable()]
#: With a cache that holds a column of numbers' weights, and with one that does not.
PAIRS = [
    (pairs, replace(core, l1d_bytes=l1d_bytes))
    for pairs, core in PAIRS
    if pairs is not None
    for l1d_bytes in ((32768, 1024) if core.registers >= 32 else (32768,))
]
instructions = pytest.mark.parametrize(
    ("pairs", "core"), PAIRS, ids=lambda p: getattr(p, "name", None) or f"{p.bits}bit"
)
#: Inputs, outputs, height and width of the result, window.
CONVOLUTIONS = [
    (32, 32, (16, 20), SAME),
    (45, 64, (12, 28), Window((3, 3), (1, 1), (0, 2, 2, 0))),
    (33, 96, (8, 32), dilated(2)),
    (40, 32, (12, 24), Window((3, 3), (1, 1), (3, 6, 9, 0), (3, 3))),
]
cases = pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda c: f"{c[0]}to{c[1]}")


def drawn(case: tuple, zero_point: int, output: Output, seed: int) -> tuple[NDArray, ...]:
    """Data, OIHW weights, bias with the zero point in it, multipliers, quant and the expected
    result."""
    inputs, channels, (rows, columns), window = case
    top, left, bottom, right = window.padding
    around = 2 * window.dilation[0]
    random = np.random.default_rng(seed)
    size = rows + around - top - bottom, columns + around - left - right
    data = draw_int8(random, (1, *size, inputs))
    weight = np.maximum(draw_int8(random, (channels, inputs, 3, 3)), -127)
    assert is_exact(weight)
    bias = random.integers(-(2**16), 2**16, channels)
    accumulator = ops.conv2d(
        data, zero_point, weight, bias, window.stride, window.padding, 1, window.dilation
    )
    assert accumulator.shape[1:3] == (rows, columns)
    multiplier = 60 / max(1.0, np.abs(accumulator).mean()) * random.uniform(0.5, 1.5, channels)
    multiplier = multiplier.astype(np.float32)
    quant = np.array([zero_point, output.zero_point, output.low, output.high], np.int32)
    folded = bias - zero_point * weight.astype(np.int64).sum(axis=(1, 2, 3))
    limits = output.zero_point, output.low, output.high
    expected = ops.requantize(accumulator, multiplier, *limits)
    return data, weight, folded.astype(np.int32), multiplier, quant, expected


@instructions
@cases
@given(zero_point=zero_points, output=outputs(), seed=seeds)
@draws
def test_it_is_the_convolution(
    pairs: DotProduct, core: CpuCore, case: tuple, zero_point: int, output: Output, seed: int
) -> None:
    _, channels, size, window = case
    data, weight, bias, multiplier, quant, expected = drawn(case, zero_point, output, seed)
    assert serves_winograd(size, weight.shape, window, pairs)
    kernel = built_kernel(
        core, create_winograd_conv, data.shape, channels, window, pairs, REQUANTIZE
    )
    packed = pack_for_dot_product(transform_weight(weight), pairs)
    np.testing.assert_array_equal(kernel(data, packed, bias, multiplier, quant), expected)


@instructions
def test_parts_are_read_where_they_are(pairs: DotProduct, core: CpuCore) -> None:
    parts = JoinedPart(64), JoinedPart(32, 4), JoinedPart(32), JoinedPart(32, 2, shuffled=True)
    assert serves_parts(parts, pairs)
    random = np.random.default_rng(4)
    tensors = [draw_int8(random, part.shape(16, 16)) for part in parts]
    repeated = tensors[1].repeat(4, axis=1).repeat(4, axis=2)
    blocks = tensors[3].reshape(8, 8, 2, 2, 32).swapaxes(1, 2).reshape(1, 16, 16, 32)
    data = np.concatenate([tensors[0], repeated, tensors[2], blocks], axis=3)
    weight = draw_int8(random, (32, data.shape[3], 3, 3))
    packed = pack_for_dot_product(transform_weight(weight), pairs)
    bias, multiplier = np.zeros(32, np.int32), np.full(32, 1e-3, np.float32)
    rest = packed, bias, multiplier, np.array([5, -7, -128, 127], np.int32)
    shared = core, create_winograd_conv, data.shape, 32, SAME, pairs, REQUANTIZE
    expected = built_kernel(*shared)(data, *rest)
    assert len(np.unique(expected)) > 100
    np.testing.assert_array_equal(built_kernel(*shared, parts)(*tensors, *rest), expected)


@instructions
def test_parts_fill_vectors(pairs: DotProduct, core: CpuCore) -> None:
    half = pairs.lanes[0]
    assert not serves_parts((JoinedPart(3 * half), JoinedPart(half)), pairs)


@instructions
def test_a_float_result(pairs: DotProduct, core: CpuCore) -> None:
    data, weight, _, multiplier, quant, _ = drawn(CONVOLUTIONS[1], 7, Output(0, -128, 127), 3)
    window, channels = CONVOLUTIONS[1][3], len(weight)
    kernel = built_kernel(core, create_winograd_conv, data.shape, channels, window, pairs, SCALE)
    packed = pack_for_dot_product(transform_weight(weight), pairs)
    bias = np.linspace(-1, 1, channels, dtype=np.float32)
    offset = (-7 * weight.astype(np.int64).sum(axis=(1, 2, 3))).astype(np.int32)
    found = kernel(data, packed, bias, multiplier, offset, quant)
    exact = ops.conv2d(
        data, 7, weight, np.zeros(channels, np.int64), (1, 1), window.padding, 1, (1, 1)
    )
    np.testing.assert_allclose(
        found, exact.astype(np.float32) * multiplier + bias, rtol=1e-5, atol=1e-5
    )


@instructions
def test_it_is_integer(pairs: DotProduct, core: CpuCore) -> None:
    kernel = create_winograd_conv((1, 16, 16, 32), 32, SAME, pairs, REQUANTIZE)
    assert float_violations(kernel) == []
    scheduled = s_tir.Schedule(kernel.with_attr("global_symbol", "main"))
    winograd_schedule.schedule(scheduled, core)
    assert float_violations(scheduled.mod["main"]) == []


@instructions
def test_every_configuration_can_be_scheduled(pairs: DotProduct, core: CpuCore) -> None:
    def kernel() -> s_tir.Schedule:
        made = create_winograd_conv((1, 32, 64, 48), 64, dilated(2), pairs, REQUANTIZE)
        return s_tir.Schedule(made.with_attr("global_symbol", "main"))

    found = winograd_schedule.configurations(kernel(), core)
    default = winograd_schedule.default_configuration(kernel(), core)
    assert found.count(default) == 1 and len(found) > 10
    for configuration in found[:: len(found) // 10]:
        winograd_schedule.schedule(kernel(), core, configuration)


@instructions
@given(seed=seeds)
@draws
def test_the_instruction_wraps_around(pairs: DotProduct, core: CpuCore, seed: int) -> None:
    random = np.random.default_rng(seed)
    lanes = pairs.lanes[0]
    data = random.integers(-(2**15) + 1, 2**15, (3, 2)).astype(np.int16)
    weight = random.integers(-(2**15) + 1, 2**15, (2, 1, 1, 1, lanes, 2)).astype(np.int16)
    start = random.choice(np.array([2**31 - 1, -(2**31)], np.int32), (3, 2 * lanes))
    modules = compiled(tile_pair, pairs, DotTile(3, 2, lanes, 1, 1, "int16"))
    products = np.einsum("pg,vlg->pvl", data.astype(np.int64), weight[:, 0, 0, 0].astype(np.int64))
    expected = (start + products.reshape(3, -1)).astype(np.int32)
    np.testing.assert_array_equal(run_both(modules, start, data, weight), expected)


@pytest.mark.parametrize(
    ("name", "bits", "target", "mnemonic"),
    [
        ("vnni", 512, {"mcpu": "znver4"}, "vpdpwssd"),
        ("pmaddwd", 256, {"mcpu": "x86-64-v3"}, "vpmaddwd"),
        ("smlal", 128, {"mcpu": "cortex-a72"}, "smlal"),
    ],
)
def test_what_it_compiles_to(name: str, bits: int, target: dict, mnemonic: str) -> None:
    pairs = pair_product_of(dot_product_named(name, bits), bits)
    triple = "aarch64-linux-gnu" if name == "smlal" else "x86_64-linux-gnu"
    steps = 2 // pairs.group
    _, implementation = tile_pair(pairs, DotTile(4, 2, pairs.lanes[0], steps, 1, "int16"))
    library = tvm.compile(
        tvm.IRModule({"tile": implementation.with_attr("global_symbol", "tile")}),
        target={"kind": "llvm", "mtriple": triple, **target},
    )
    assembly = library.mod.inspect_source("asm")
    # Two vectors by four tiles by two channels; smlal and smlal2 take one of these.
    expected = 4 * 2 * steps
    assert len(re.findall(rf"\b{mnemonic}2?\b", assembly)) == expected


@pytest.mark.parametrize("name", ["sdot", "smmla"])
def test_bytes_are_as_fast_on_these(name: str) -> None:
    assert pair_product_of(dot_product_named(name, 128), 128) is None


@pytest.mark.parametrize(
    ("size", "weight", "window"),
    [
        ((16, 18), (32, 32), SAME),
        ((15, 16), (32, 32), SAME),
        ((12, 20), (32, 32), SAME),
        ((16, 16), (31, 32), SAME),
        ((16, 16), (32, 24), SAME),
        ((20, 24), (32, 32), dilated(2)),
        ((16, 16), (32, 32), Window((3, 3), (2, 2), (1, 1, 1, 1))),
        ((16, 16), (32, 32), Window((3, 3), (1, 1), (1, 1, 1, 1), (1, 2))),
        ((16, 16), (32, 32), Window((3, 5), (1, 1), (1, 2, 1, 2))),
    ],
)
def test_what_it_does_not_serve(
    size: tuple[int, int], weight: tuple[int, int], window: Window
) -> None:
    pairs = pair_product_of(dot_product_named("pmaddwd", 128), 128)
    assert serves_winograd((16, 16), (32, 32, 3, 3), SAME, pairs)
    assert not serves_winograd(size, (*weight, *window.kernel), window, pairs)
