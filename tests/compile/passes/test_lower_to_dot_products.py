"""The lowerings with a dot product instruction: packed weights, and what they fall back to."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from backends import cpu_backend
from numpy.typing import NDArray
from tvm import relax
from tvm.ir import assert_structural_equal

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.arm_smlal import smlal
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import pair_product_of
from compile.kernels.cpu.instructions.x86_pmaddwd import pmaddwd
from compile.kernels.cpu.instructions.x86_vnni import vnni
from compile.kernels.cpu.int8.int8_conv import create_int8_conv
from compile.kernels.cpu.int8.int8_depthwise import create_int8_depthwise, pack_depthwise
from compile.kernels.cpu.int8.int8_pointwise import create_int8_pointwise
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product
from compile.kernels.cpu.int8.winograd import transform_weight
from compile.kernels.cpu.int8.winograd_conv import create_winograd_conv
from compile.passes.lower_float_convolutions import LowerFloatConvolutions
from compile.passes.lower_quantized_ops import LowerQuantizedOps

REQUANTIZE, SCALE = (ConvEpilogue(kind) for kind in (EpilogueKind.REQUANTIZE, EpilogueKind.SCALE))
WINDOW = Window((3, 3), (1, 1), (1, 1, 1, 1))
SHAPE, ZERO_POINT = (1, 5, 7, 8), 3


def weights(outputs: int, inputs: int, size: int) -> NDArray[np.int8]:
    random = np.random.default_rng(outputs)
    return random.integers(-127, 128, (outputs, inputs, size, size), dtype=np.int8)


def network(
    weight: NDArray[np.int8], requantized: bool, shape: tuple[int, int, int, int] = SHAPE
) -> tvm.IRModule:
    """A convolution of int8 data, with a result of int8 or of float."""
    channels, inputs, size, _ = weight.shape
    builder = relax.BlockBuilder()
    q = relax.Var("q", relax.TensorType(shape, "int8"))
    with builder.function("main", [q]):
        with builder.dataflow():
            d = relax.op.dequantize(q, relax.const(0.5), relax.const(ZERO_POINT, "int8"))
            scales = relax.const(np.full(channels, 0.25, "float32"))
            zero = relax.const(0, "int8")
            w = builder.emit(relax.op.dequantize(relax.const(weight), scales, zero, axis=0))
            out = relax.op.nn.conv2d(
                builder.emit(d),
                w,
                padding=size // 2,
                groups=shape[3] // inputs,
                data_layout="NHWC",
                kernel_layout="OIHW",
                out_layout="NHWC",
            )
            if requantized:
                scale, zero_point = relax.const(0.125), relax.const(-20, "int8")
                out = relax.op.quantize(builder.emit(out), scale, zero_point)
            out = builder.emit_output(builder.emit(out))
        builder.emit_func_output(out)
    return builder.get()


def lowered(mod: tvm.IRModule, dot: DotProduct) -> tuple[tvm.tirx.PrimFunc, list[NDArray]]:
    """The kernel that is called, and its constants."""
    backend = cpu_backend(dot)
    passes = [LowerQuantizedOps(backend), LowerFloatConvolutions(backend)]
    after = tvm.transform.Sequential(passes)(mod)
    *_, call = (
        binding.value
        for binding in after["main"].body.blocks[0].bindings
        if isinstance(binding.value, relax.Call)
    )
    _, *constants = call.args[1].fields
    return after[call.args[0]], [constant.value.numpy() for constant in constants]


@pytest.mark.parametrize("dot", [sdot(), vnni(256)], ids=lambda dot: dot.name)
@pytest.mark.parametrize("kind", ["pointwise", "dense", "depthwise"])
def test_weights_are_packed_and_the_shift_is_in_the_bias(kind: str, dot: DotProduct) -> None:
    if kind == "pointwise":
        weight, pack = weights(16, 8, 1), pack_for_dot_product
        expected = create_int8_pointwise(SHAPE, 16, dot, REQUANTIZE)
    elif kind == "dense":
        weight, pack = weights(16, 8, 3), pack_for_dot_product
        expected = create_int8_conv(SHAPE, 16, WINDOW, dot, REQUANTIZE)
    else:
        weight, pack = weights(8, 1, 3), pack_depthwise
        expected = create_int8_depthwise(SHAPE, WINDOW, dot, REQUANTIZE)
    kernel, (packed, bias, multiplier, quant) = lowered(network(weight, True), dot)
    assert_structural_equal(kernel, expected)
    np.testing.assert_array_equal(packed, pack(weight, dot))
    sums = weight.astype(int).sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(bias, -(ZERO_POINT + dot.shift) * sums)
    assert set(multiplier) == {1.0}
    assert quant.tolist() == [ZERO_POINT, -20, -128, 127]


def test_float_result_has_the_shift_in_its_offset() -> None:
    weight, dot = weights(16, 8, 3), vnni(512)
    kernel, (packed, bias, multiplier, offset, quant) = lowered(network(weight, False), dot)
    assert_structural_equal(kernel, create_int8_conv(SHAPE, 16, WINDOW, dot, SCALE))
    np.testing.assert_array_equal(packed, pack_for_dot_product(weight, dot))
    assert not bias.any() and set(multiplier) == {0.125}
    expected = -(ZERO_POINT + 128) * weight.astype(int).sum(axis=(1, 2, 3))
    np.testing.assert_array_equal(offset, expected)
    assert quant[0] == ZERO_POINT


@pytest.mark.parametrize("outputs", [1, 2])
def test_too_few_channels_for_a_vector_multiply_one_by_one(outputs: int) -> None:
    kernel, _ = lowered(network(weights(outputs, 8, 1), True), sdot())
    assert kernel.attrs["mqnet.family"] == "pointwise"


def test_smlal_is_not_used_for_a_weight_that_would_overflow() -> None:
    weight = weights(16, 8, 1)
    kernel, _ = lowered(network(weight, True), smlal())
    assert kernel.attrs["mqnet.family"] == "packed_pointwise"
    weight[3, 2] = -128
    kernel, _ = lowered(network(weight, True), smlal())
    assert kernel.attrs["mqnet.family"] == "pointwise"
    kernel, _ = lowered(network(weight, True), sdot())
    assert kernel.attrs["mqnet.family"] == "packed_pointwise"


LARGE = (1, 16, 16, 32)


@pytest.mark.parametrize("dot", [vnni(128), pmaddwd(128), smlal()], ids=lambda dot: dot.name)
def test_many_channels_are_transformed(dot: DotProduct) -> None:
    weight = weights(32, 32, 3)
    kernel, (packed, bias, multiplier, offset, quant) = lowered(network(weight, False, LARGE), dot)
    pairs = pair_product_of(dot, 128)
    assert_structural_equal(kernel, create_winograd_conv(LARGE, 32, WINDOW, pairs, SCALE))
    np.testing.assert_array_equal(packed, pack_for_dot_product(transform_weight(weight), pairs))
    assert not bias.any() and set(multiplier) == {0.125} and quant[0] == ZERO_POINT
    # What the instruction on bytes adds to the data is none of it.
    np.testing.assert_array_equal(offset, -ZERO_POINT * weight.astype(int).sum(axis=(1, 2, 3)))


def test_sums_that_might_be_lost_are_not_transformed() -> None:
    weight = np.full((32, 32, 3, 3), 127, np.int8)
    large = (*LARGE[:3], 32 * 8)
    for channels, family in ((32, "winograd_conv"), (32 * 8, "packed_conv")):
        wide = np.tile(weight, (1, channels // 32, 1, 1))
        kernel, _ = lowered(network(wide, True, (*large[:3], channels)), pmaddwd(128))
        assert kernel.attrs["mqnet.family"] == family


def test_a_dot_product_that_is_as_fast_is_used_itself() -> None:
    kernel, _ = lowered(network(weights(32, 32, 3), True, LARGE), sdot())
    assert kernel.attrs["mqnet.family"] == "packed_conv"
