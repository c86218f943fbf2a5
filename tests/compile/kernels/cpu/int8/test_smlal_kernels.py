"""Kernels of smull, smlal and sadalp on an emulated Cortex-A53, bit for bit, also where pairs of
products are as large as 16 bits hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import small_net
from kernel_draws import SAME_3X3, Conv, draw_int8
from numpy.typing import NDArray
from reference import ops
from tvm import relax, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.arm_smlal import smlal
from compile.kernels.cpu.instructions.pair_products import smlal_words
from compile.kernels.cpu.int8.int8_conv import create_int8_conv
from compile.kernels.cpu.int8.int8_depthwise import create_int8_depthwise, pack_depthwise
from compile.kernels.cpu.int8.int8_pointwise import create_int8_pointwise
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product
from compile.kernels.cpu.planar.planar_conv import create_planar_conv, pack_planar
from compile.kernels.cpu.planar.planar_parts_conv import create_planar_parts_conv, pack_for_parts
from compile.kernels.cpu.planar.planar_winograd_conv import (
    create_planar_winograd_conv,
    pack_planar_winograd,
)
from compile.passes.apply_default_schedule import apply_default_schedule
from device.emulated.arm64.run_module import run_all_on_board
from targets.load_target import load_target

REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)
DOT = smlal()
PLANAR = Conv((6, 16, 9), 12, 3, 1, SAME_3X3)
IN_PARTS = (
    Conv((6, 16, 16), 12, 3, 1, SAME_3X3),
    Conv((4, 12, 32), 6, 3, 1, SAME_3X3),
    Conv((5, 9, 16), 3, 2, 1, (0, 0, 0, 0)),
)
BY_WINOGRAD = (Conv((8, 16, 16), 12, 3, 1, SAME_3X3), Conv((6, 26, 18), 16, 3, 1, (0, 0, 0, 0)))
KERNELS = [
    Conv((1, 5, 6), 8),
    Conv((4, 8, 48), 24),
    Conv((4, 8, 20), 16),
    Conv((3, 7, 13), 12),
    Conv((6, 9, 3), 16, 3, 2, SAME_3X3),
    Conv((5, 6, 16), 12, 3, 1, SAME_3X3),
    Conv((6, 10, 48), None, 3, 1, SAME_3X3),
    Conv((7, 9, 24), None, 3, 2, SAME_3X3),
    Conv((5, 6, 8), None, 5, 1, (2, 2, 2, 2)),
    PLANAR,
    *IN_PARTS,
    *BY_WINOGRAD,
]


def create(conv: Conv) -> tirx.PrimFunc:
    shape = (1, *conv.data)
    if conv in BY_WINOGRAD:
        pairs = smlal_words()
        return create_planar_winograd_conv(shape, conv.channels_out, conv.window, pairs, REQUANTIZE)
    if conv in IN_PARTS:
        return create_planar_parts_conv(shape, conv.channels_out, conv.window, DOT, REQUANTIZE)
    if conv is PLANAR:
        return create_planar_conv(shape, conv.channels_out, conv.window, DOT, REQUANTIZE)
    if conv.channels_out is None:
        return create_int8_depthwise(shape, conv.window, DOT, REQUANTIZE)
    if conv.kernel == 1:
        return create_int8_pointwise(shape, conv.channels_out, DOT, REQUANTIZE)
    return create_int8_conv(shape, conv.channels_out, conv.window, DOT, REQUANTIZE)


def packed(conv: Conv, weight: NDArray[np.int8]) -> NDArray:
    if conv in BY_WINOGRAD:
        return pack_planar_winograd(weight, smlal_words())
    if conv in IN_PARTS:
        return pack_for_parts(weight, DOT)
    if conv is PLANAR:
        return pack_planar(weight, DOT)
    return (pack_depthwise if conv.channels_out is None else pack_for_dot_product)(weight, DOT)


def drawn(conv: Conv, random: np.random.Generator, ends: bool) -> tuple[list[NDArray], NDArray]:
    """Operands and result; ``ends`` for data and weights of the largest magnitude only."""
    data = draw_int8(random, (1, *conv.data))
    weight = np.maximum(draw_int8(random, conv.weight_shape), np.int8(-127))
    if ends:
        data[:], weight[:] = -128, random.choice([-127, 127])
    channels, zero_point = len(weight), int(random.integers(-128, 128))
    groups = channels if conv.channels_out is None else 1
    strides = (conv.stride, conv.stride)
    bias = random.integers(-1000, 1000, channels)
    accumulator = ops.conv2d(data, zero_point, weight, bias, strides, conv.padding, groups)
    scale = 60 / max(1.0, float(np.abs(accumulator).mean()))
    multiplier = (scale * random.uniform(0.5, 1.5, channels)).astype(np.float32)
    expected = ops.requantize(accumulator, multiplier, 3, -120, 126)
    if conv in (PLANAR, *IN_PARTS, *BY_WINOGRAD):
        expected = expected.transpose(0, 1, 3, 2)
    offset = zero_point * weight.astype(np.int64).sum(axis=(1, 2, 3))
    quant = np.array([zero_point, 3, -120, 126], np.int32)
    folded = (bias - offset).astype(np.int32)
    return [data, packed(conv, weight), folded, multiplier, quant], expected


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    builder = relax.BlockBuilder()
    for number, conv in enumerate(KERNELS):
        kernel = create(conv)
        *inputs, result = (
            relax.TensorType([int(n) for n in p.ty.shape], str(p.ty.dtype.dtype))
            for p in kernel.params
        )
        names = [f"{p.name}{n}" for n, p in enumerate(kernel.params[:-1])]
        params = [relax.Var(*pair) for pair in zip(names, inputs, strict=True)]
        with builder.function(f"kernel{number}", params):
            function = builder.add_func(kernel, f"kernel{number}_tir")
            call = relax.op.call_tir(function, params, result)
            builder.emit_func_output(builder.emit(call))
    module = apply_default_schedule(CpuCore(128, 32, 1))(builder.get())
    path = tmp_path_factory.mktemp("smlal") / "kernels.so"
    small_net.export(module, load_target("cortex-a53"), path)
    return path


def test_kernels_are_exact(arm64_root: Path, library: Path) -> None:
    random = np.random.default_rng(0)
    cases = [drawn(conv, random, ends) for conv in KERNELS for ends in (False, True)]
    calls = [(f"kernel{n // 2}", operands) for n, (operands, _) in enumerate(cases)]
    found = run_all_on_board(arm64_root, library, calls, cpu="cortex-a53")
    for number, ((result,), (_, expected)) in enumerate(zip(found, cases, strict=True)):
        np.testing.assert_array_equal(result, expected, err_msg=str(KERNELS[number // 2]))
