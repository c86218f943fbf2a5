"""Convolutions to planes by the Winograd transform against NumPy, bit for bit, by the instructions
of this machine. The arm64 tests (test_smlal_kernels.py) run ARM's under the emulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dot_instructions import runnable
from kernel_draws import draw_int8
from kernel_runner import built_kernel
from reference import ops
from tir_walker import float_violations
from tvm import s_tir

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import pair_product_of
from compile.kernels.cpu.instructions.pair_products import pmaddwd_pairs, smlal_words
from compile.kernels.cpu.planar import planar_winograd_conv
from compile.kernels.cpu.planar.planar_winograd_conv import (
    create_planar_winograd_conv,
    pack_planar_winograd,
    serves_planar_winograd,
)

REQUANTIZE, SCALE = (ConvEpilogue(kind) for kind in (EpilogueKind.REQUANTIZE, EpilogueKind.SCALE))
WORDS = smlal_words()
SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))
A53 = CpuCore(128, 32, 1)
PAIRS = [(pair_product_of(dot, core.bits), core) for dot, core in runnable()]
instructions = pytest.mark.parametrize(
    ("pairs", "core"),
    [(pairs, core) for pairs, core in PAIRS if pairs is not None],
    ids=lambda p: getattr(p, "name", None) or f"{p.bits}bit",
)


@instructions
@pytest.mark.parametrize(
    ("channels", "size", "inputs", "window"),
    [(16, (8, 12), 16, SAME), (12, (6, 23), 18, Window((3, 3), (1, 1), (0, 1, 4, 2)))],
)
def test_it_is_the_convolution(
    pairs: DotProduct,
    core: CpuCore,
    channels: int,
    size: tuple[int, int],
    inputs: int,
    window: Window,
) -> None:
    random, zero_point = np.random.default_rng(inputs), -9
    data = draw_int8(random, (1, *size, inputs))
    weight = np.maximum(draw_int8(random, (channels, inputs, 3, 3)), -127)
    bias = random.integers(-(2**12), 2**12, channels)
    accumulator = ops.conv2d(data, zero_point, weight, bias, (1, 1), window.padding, 1)
    multiplier = (60 / np.abs(accumulator).mean() * random.uniform(0.5, 1.5, channels)).astype("f4")
    quant = np.array([zero_point, 3, -120, 126], np.int32)
    folded = (bias - zero_point * weight.astype(np.int64).sum(axis=(1, 2, 3))).astype(np.int32)
    packed = pack_planar_winograd(weight, pairs)
    create = create_planar_winograd_conv, data.shape, channels, window, pairs
    found = built_kernel(core, *create, REQUANTIZE)(data, packed, folded, multiplier, quant)
    expected = ops.requantize(accumulator, multiplier, 3, -120, 126).transpose(0, 1, 3, 2)
    np.testing.assert_array_equal(found, expected)
    zeros = np.zeros(channels, np.float32)
    found = built_kernel(core, *create, SCALE)(data, packed, zeros, multiplier, folded, quant)
    floats = accumulator.astype(np.float32) * multiplier
    np.testing.assert_array_equal(found, floats.transpose(0, 1, 3, 2))


def test_every_configuration_can_be_scheduled() -> None:
    kernel = create_planar_winograd_conv((1, 16, 32, 32), 24, SAME, WORDS, SCALE)
    found = planar_winograd_conv.configurations(s_tir.Schedule(kernel), A53)
    default = planar_winograd_conv.default_configuration(s_tir.Schedule(kernel), A53)
    assert default in found and len(found) > 100
    for configuration in found[:: len(found) // 10]:
        schedule = s_tir.Schedule(kernel)
        planar_winograd_conv.schedule(schedule, A53, configuration)
        assert "neon.smull" in str(schedule.mod)


def test_it_is_integer() -> None:
    kernel = create_planar_winograd_conv((1, 8, 8, 16), 12, SAME, WORDS, REQUANTIZE)
    assert float_violations(kernel) == []


def test_only_whole_tiles_and_registers() -> None:
    def served(size=(8, 8), weight=(12, 16, 3, 3), window=SAME, pairs=WORDS, core=A53) -> bool:
        return serves_planar_winograd(size, weight, window, pairs, core)

    assert served() and served(pairs=pmaddwd_pairs(256))
    assert not served(pairs=pmaddwd_pairs(512))
    assert not served(size=(8, 10))
    assert not served(weight=(6, 16, 3, 3)) and not served(weight=(14, 16, 3, 3))
    assert not served(weight=(12, 8, 3, 3))
    assert not served(window=replace(SAME, stride=(2, 2)))
    assert not served(window=replace(SAME, dilation=(2, 2)))
    assert not served(core=replace(A53, recompute_bytes=0))
