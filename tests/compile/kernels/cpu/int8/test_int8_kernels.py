"""Dot product instructions: what they compute, and the kernels around them, bit for bit.

Those of this machine are run. For the others the assembly is looked at; sdot is run under the
emulator by the arm64 tests, which compare the whole backbone.
"""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from dot_instructions import compiled, dots, run_both
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
from kernel_runner import built_kernel
from numpy.typing import NDArray
from reference import ops
from tvm import tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.arm_smlal import smlal
from compile.kernels.cpu.instructions.dot_intrinsics import (
    DotTile,
    lanewise_pair,
    tile_pair,
    word_pair,
)
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.x86_pmaddwd import pmaddwd
from compile.kernels.cpu.instructions.x86_vnni import vnni
from compile.kernels.cpu.int8.int8_conv import create_int8_conv
from compile.kernels.cpu.int8.int8_depthwise import create_int8_depthwise, pack_depthwise
from compile.kernels.cpu.int8.int8_pointwise import create_int8_pointwise
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product, packed_shape

REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)


TILES = [(1, 1, 1), (1, 3, 1), (3, 2, 1), (4, 1, 2)]


@dots
@given(seed=seeds, pick=st.integers(0, 99))
@draws
def test_tile_computes_its_description(
    dot: DotProduct, core: CpuCore, seed: int, pick: int
) -> None:
    random = np.random.default_rng(seed)
    lanes, steps = dot.lanes[pick % len(dot.lanes)], dot.steps[pick % len(dot.steps)]
    pixels, vectors, stride = TILES[pick % len(TILES)]
    columns = (pixels - 1) * stride + 1
    numbers = draw_int8(random, (columns, steps * dot.group))
    weight = draw_int8(random, (vectors, 1, 1, steps, lanes, dot.group)).astype(dot.weight_dtype)
    start = random.integers(-(2**31), 2**31, (pixels, vectors * lanes)).astype(np.int32)
    shifted = numbers.astype(np.int64) + dot.shift
    by_hand = np.einsum(
        "psg,vslg->pvl",
        shifted[::stride].reshape(pixels, steps, dot.group),
        weight[:, 0, 0].astype(np.int64),
    )
    for dtype in {dot.data_dtype, "int8" if dot.takes_int8 else dot.data_dtype}:
        data = numbers if dtype == "int8" else shifted.astype(dtype)
        tile = DotTile(pixels, vectors, lanes, steps, stride, dtype)
        found = run_both(compiled(tile_pair, dot, tile), start, data, weight)
        # And the description is the sum that it says.
        expected = (start + by_hand.reshape(pixels, -1)).astype(np.int32)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [4, 8, 16])
def test_words_are_their_description(rows: int, channels: int) -> None:
    random = np.random.default_rng(rows)
    data = draw_int8(random, (rows, 1, channels))
    modules = compiled(word_pair, sdot(), rows, channels)
    found = run_both(modules, np.zeros(channels, np.int32), data)
    padded = np.zeros((4, channels), np.int8)
    padded[:rows] = data[:, 0]
    np.testing.assert_array_equal(found, np.ascontiguousarray(padded.T).view(np.int32)[:, 0])


@dots
@given(seed=seeds, pick=st.integers(0, 99))
@draws
def test_instruction_by_lane_computes_its_description(
    dot: DotProduct, core: CpuCore, seed: int, pick: int
) -> None:
    random = np.random.default_rng(seed)
    lanes = dot.lanes[pick % len(dot.lanes)]
    numbers = draw_int8(random, (lanes, dot.group)).astype(np.int64) + dot.shift
    weight = draw_int8(random, (lanes, dot.group)).astype(dot.weight_dtype)
    start = random.integers(-(2**31), 2**31, lanes).astype(np.int32)
    words = numbers.astype(dot.data_dtype).view(np.int32)[:, 0]
    found = run_both(compiled(lanewise_pair, dot, lanes), start, words, weight)
    by_hand = numbers * weight
    np.testing.assert_array_equal(found, (start + by_hand.sum(axis=1)).astype(np.int32))


@pytest.mark.parametrize(
    ("dot", "target", "mnemonic"),
    [
        (pmaddwd(512), {"mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v4"}, "vpmaddwd"),
        (
            vnni(512),
            {"mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v4", "mattr": ["+avx512vnni"]},
            "vpdpbusd",
        ),
        (
            vnni(256),
            {"mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v3", "mattr": ["+avxvnni"]},
            "vpdpbusd",
        ),
        (
            sdot(),
            {"mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a76", "mattr": ["+dotprod"]},
            "sdot",
        ),
        (smlal(), {"mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a53"}, "sadalp"),
    ],
    ids=lambda p: f"{p.name}{p.lanes[0] * 32}" if isinstance(p, DotProduct) else None,
)
def test_instruction_is_in_the_assembly(dot: DotProduct, target: dict, mnemonic: str) -> None:
    for lanes in dot.lanes:
        for steps in dot.steps:
            tile = DotTile(2, 3, lanes, steps, 1, dot.data_dtype)
            _, function = tile_pair(dot, tile)
            mod = tvm.IRModule({"dot": function.with_attr("global_symbol", "dot")})
            built = tvm.tirx.build(mod, target=tvm.target.Target({"kind": "llvm", **target}))
            lines = built.inspect_source("asm").splitlines()
            # AVX-VNNI's is spelled "{vex} vpdpbusd".
            # Two steps of smlal end in one sadalp.
            expected = 6 * (-(-steps // 2) if dot.name == "smlal" else steps)
            assert sum(mnemonic in line.split()[:2] for line in lines) == expected


def test_lanes_take_the_fewest_instructions() -> None:
    wide = vnni(512)
    # 24 channels: two vectors of 16 beat three of 8; of 12, 16 lanes lie a quarter idle.
    chosen = {n: wide.find_lanes(n) for n in (1, 2, 3, 4, 6, 8, 12, 16, 17, 24, 720)}
    assert chosen == {
        **{1: None, 2: None, 3: 4, 4: 4, 6: 8, 8: 8},
        **{12: 16, 16: 16, 17: 8, 24: 16, 720: 16},
    }


@pytest.mark.parametrize("dot", [pmaddwd(256), vnni(512), sdot()], ids=lambda d: d.name)
def test_packed_weights_lie_as_the_instruction_reads_them(dot: DotProduct) -> None:
    random = np.random.default_rng(0)
    weight = draw_int8(random, (12, 5, 3, 2))
    packed = pack_for_dot_product(weight, dot)
    assert packed.dtype == dot.weight_dtype
    assert packed.shape == packed_shape(12, (3, 2), 5, dot)
    lanes = dot.lanes_for(12)
    for (vector, ky, kx, groups, lane, member), value in np.ndenumerate(packed):
        n, k = vector * lanes + lane, groups * dot.group + member
        assert value == (weight[n, k, ky, kx] if n < 12 and k < 5 else 0)


@pytest.mark.parametrize(("channels", "steps"), [(16, 2), (5, 1), (4, 2), (2, 1)])
def test_vectors_of_a_step_lie_beside_each_other(channels: int, steps: int) -> None:
    """Two steps where their number is even: the pairs of 5 channels are three."""
    dot = smlal()
    random = np.random.default_rng(0)
    weight = draw_int8(random, (10, channels, 3, 2))
    packed = pack_for_dot_product(weight, dot)
    groups = -(-channels // 2)
    assert packed.shape == packed_shape(10, (3, 2), channels, dot)
    assert packed.shape == (3, 2, groups // steps, 3, steps, 4, 2)
    for (ky, kx, unit, vector, step, lane, member), value in np.ndenumerate(packed):
        n, k = vector * 4 + lane, (unit * steps + step) * 2 + member
        assert value == (weight[n, k, ky, kx] if n < 10 and k < channels else 0)


CONVOLUTIONS = [
    Conv((1, 1, 1), 3),
    Conv((1, 1, 5), 6),
    Conv((7, 11, 13), 24),
    Conv((33, 47, 3), 56),
    Conv((8, 12, 56), 16),
    Conv((4, 4, 16), 48),
    Conv((7, 3, 8), 240),
    Conv((1, 1, 3), 6, 3, 1, SAME_3X3),
    Conv((7, 11, 5), 13, 3, 1, SAME_3X3),
    Conv((33, 47, 3), 16, 3, 2, SAME_3X3),
    Conv((8, 12, 1), 24, 3, 2, (0, 0, 1, 1)),
    Conv((8, 12, 16), 12, 3, 1, SAME_3X3),
    Conv((9, 10, 3), 7, 5, 1, (2, 2, 2, 2)),
    Conv((7, 11, 8), 8, 1, 2),
    Conv((7, 11, 5), 13, 3, 1, (2, 2, 2, 2), 2),
    Conv((9, 14, 16), 8, 3, 2, (0, 3, 2, 0), 3),
]
DEPTHWISE = [
    Conv((1, 1, 8), None, 3, 1, SAME_3X3),
    Conv((7, 11, 16), None, 3, 1, SAME_3X3),
    Conv((6, 10, 48), None, 3, 1, SAME_3X3),
    Conv((6, 10, 32), None, 2, 2),
    Conv((33, 47, 4), None, 3, 2, SAME_3X3),
    Conv((8, 12, 48), None, 3, 2, SAME_3X3),
    Conv((9, 10, 24), None, 5, 1, (2, 2, 2, 2)),
    Conv((9, 10, 16), None, 5, 3, (2, 2, 2, 2)),
    Conv((7, 11, 8), None, 1),
]


def create(conv: Conv, dot: DotProduct, epilogue: ConvEpilogue) -> tirx.PrimFunc:
    shape = (1, *conv.data)
    if conv.channels_out is None:
        return create_int8_depthwise(shape, conv.window, dot, epilogue)
    if conv.kernel == conv.stride == 1:
        return create_int8_pointwise(shape, conv.channels_out, dot, epilogue)
    return create_int8_conv(shape, conv.channels_out, conv.window, dot, epilogue)


def packed(conv: Conv, weight: NDArray[np.int8], dot: DotProduct) -> NDArray:
    pack = pack_depthwise if conv.channels_out is None else pack_for_dot_product
    return pack(weight, dot)


def accumulated(
    conv: Conv, data: NDArray[np.int8], zero_point: int, weight: NDArray[np.int8]
) -> NDArray:
    return ops.conv2d(
        data,
        zero_point,
        weight,
        np.zeros(len(weight), np.int64),
        (conv.stride, conv.stride),
        conv.padding,
        groups=conv.data[2] if conv.channels_out is None else 1,
        dilation=conv.window.dilation,
    )


@dots
@pytest.mark.parametrize("conv", [*CONVOLUTIONS, *DEPTHWISE], ids=str)
@given(zero_point=zero_points, output=outputs(), kind=multipliers, seed=seeds)
@draws
def test_requantized_convolution(
    conv: Conv,
    dot: DotProduct,
    core: CpuCore,
    zero_point: int,
    output: Output,
    kind: Multipliers,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    data = draw_int8(random, (1, *conv.data))
    weight = draw_int8(random, conv.weight_shape)
    channels = len(weight)
    bias = random.integers(-1, 2, channels) * random.integers(0, 2 ** random.integers(1, 31))
    accumulator = accumulated(conv, data, zero_point, weight) + bias
    multiplier = draw_multiplier(random, kind, accumulator, channels)
    limits = output.zero_point, output.low, output.high
    expected = ops.requantize(accumulator, multiplier, *limits)
    offset = (zero_point + dot.shift) * weight.astype(np.int64).sum(axis=(1, 2, 3))
    kernel = built_kernel(core, create, conv, dot, REQUANTIZE)
    found = kernel(
        data,
        packed(conv, weight, dot),
        (bias - offset).astype(np.int32),
        multiplier,
        np.array([zero_point, *limits], np.int32),
    )
    np.testing.assert_array_equal(found, expected)


@dots
@pytest.mark.parametrize("conv", [*CONVOLUTIONS[-4:], *DEPTHWISE[:2]], ids=str)
@given(zero_point=zero_points, seed=seeds)
@draws
def test_convolution_with_a_float_result(
    conv: Conv, dot: DotProduct, core: CpuCore, zero_point: int, seed: int
) -> None:
    """The head's first convolution: the accumulator is exact, two float operations follow."""
    random = np.random.default_rng(seed)
    data = draw_int8(random, (1, *conv.data))
    weight = draw_int8(random, conv.weight_shape)
    bias, multiplier = random.uniform(-1, 1, (2, len(weight))).astype(np.float32)
    accumulator = accumulated(conv, data, zero_point, weight)
    exact = accumulator * multiplier.astype(np.float64) + bias
    offset = -(zero_point + dot.shift) * weight.astype(np.int64).sum(axis=(1, 2, 3))
    kernel = built_kernel(core, create, conv, dot, ConvEpilogue(EpilogueKind.SCALE, 0.0, 1e3))
    found = kernel(
        data,
        packed(conv, weight, dot),
        bias,
        multiplier,
        offset.astype(np.int32),
        np.array([zero_point, 0, 0, 0], np.int32),
    )
    rounding = 2.0**-23 * (np.abs(exact) + np.abs(bias))
    assert np.all(np.abs(found - np.clip(exact, 0.0, 1e3)) <= rounding)
