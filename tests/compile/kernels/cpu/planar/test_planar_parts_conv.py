"""Convolutions to planes whose sums are in parts. Descriptions run on the host; the arm64 tests
(test_smlal_kernels.py) run the code under the emulator, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tvm
from kernel_draws import SAME_3X3, draw_int8
from tvm import s_tir

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.arm_parts import join_parts_pair, parts_pair
from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.arm_smlal import smlal, smlal_parts
from compile.kernels.cpu.planar import planar_parts_conv
from compile.kernels.cpu.planar.planar_parts_conv import (
    create_planar_parts_conv,
    serves_parts_of_sums,
)

CORE = CpuCore(128, 32, 1)
WEIGHT = np.ones((12, 16, 3, 3), np.int8)


@pytest.mark.parametrize(("channels", "pixels"), [(2, 8), (3, 4)])
def test_parts_add_up_to_the_products(channels: int, pixels: int) -> None:
    random = np.random.default_rng(channels)
    data, weight = draw_int8(random, (pixels, 16)), draw_int8(random, (channels, 16))
    parts = np.zeros((channels, pixels, 4), np.int32)
    start = random.integers(-(2**20), 2**20, 4).astype(np.int32)
    found = described(parts_pair(smlal_parts(), channels, pixels)[0], data, weight, parts)
    expected = weight.astype(np.int64) @ data.astype(np.int64).T
    np.testing.assert_array_equal(found.sum(axis=2), expected)
    joined = described(join_parts_pair()[0], found[0, :4], start)
    np.testing.assert_array_equal(joined, start + expected[0, :4])


def described(description: tvm.tirx.PrimFunc, *operands: np.ndarray) -> np.ndarray:
    """The last of ``operands``, behind the ``description``."""
    function = description.with_attr("global_symbol", "parts")
    tensors = [tvm.runtime.tensor(array) for array in operands]
    tvm.compile(tvm.IRModule({"parts": function}), "llvm")["parts"](*tensors)
    return tensors[-1].numpy()


def test_every_configuration_can_be_scheduled() -> None:
    window, scale = Window((3, 3), (1, 1), SAME_3X3), ConvEpilogue(EpilogueKind.SCALE)
    kernel = create_planar_parts_conv((1, 4, 16, 32), 6, window, smlal(), scale)
    configurations = planar_parts_conv.configurations(s_tir.Schedule(kernel), CORE)
    default = planar_parts_conv.default_configuration(s_tir.Schedule(kernel), CORE)
    assert default in configurations and len(configurations) > 10
    for configuration in configurations:
        schedule = s_tir.Schedule(kernel)
        planar_parts_conv.schedule(schedule, CORE, configuration)
        text = str(schedule.mod)
        assert "neon.smull" in text and "neon.addp" in text


def test_only_where_channels_and_columns_fill_registers() -> None:
    assert serves_parts_of_sums(WEIGHT, 64, smlal(), CORE)
    assert not serves_parts_of_sums(WEIGHT, 66, smlal(), CORE)
    assert not serves_parts_of_sums(WEIGHT[:, :12], 64, smlal(), CORE)
    assert not serves_parts_of_sums(WEIGHT, 64, sdot(), CORE)
    assert not serves_parts_of_sums(WEIGHT, 64, smlal(), replace(CORE, recompute_bytes=0))
