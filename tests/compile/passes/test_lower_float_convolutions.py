"""LowerFloatConvolutions: one kernel for a convolution with its bias and its activation.

The kernel for a 1x1 convolution in float is written out in full; the other tests take the kernel
from its creator and say which one is called with which constants.
"""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from backends import cpu_backend
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.x86_vnni import vnni
from compile.kernels.cpu.plain.depthwise import create_depthwise
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.passes.lower_float_convolutions import LowerFloatConvolutions
from compile.support.errors import GraphError

FLOAT = np.linspace(-1, 1, 6, dtype="float32").reshape(2, 3, 1, 1)
SQUARE = np.linspace(-1, 1, 9, dtype="float32").reshape(3, 3, 1, 1)
INT8 = np.arange(-27, 27).reshape(2, 3, 3, 3).astype("int8")
DEPTHWISE = np.arange(-13, 14).reshape(3, 1, 3, 3).astype("int8")
SCALES_2 = np.array([0.5, 0.25], "float32")
SCALES_3 = np.array([0.5, 0.25, 0.125], "float32")
BIAS = np.array([1.0, -3.0], "float32")
LAYOUT = {"data_layout": "NHWC", "kernel_layout": "OIHW", "out_layout": "NHWC"}


def test_bias_and_relu_end_the_float_kernel() -> None:
    weight = FLOAT[:, :, 0, 0].T.copy()
    traced_bias = BIAS.reshape(1, 1, 1, 2)

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 2), "float32"):
            with R.dataflow():
                conv = R.nn.conv2d(
                    x,
                    R.const(FLOAT),
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                out = R.nn.relu(R.add(conv, R.const(traced_bias)))
                R.output(out)
            return out

    @I.ir_module
    class After:
        @T.prim_func(private=True, s_tir=True)
        def conv2d_float(
            data: T.Buffer((1, 5, 7, 3), "float32"),
            weight: T.Buffer((3, 2), "float32"),
            bias: T.Buffer((2,), "float32"),
            epilogue: T.Buffer((1, 5, 7, 2), "float32"),
        ):
            T.func_attr({"tirx.noalias": True, "mqnet.family": "pointwise", "mqnet.macs": 210})
            conv = T.sblock_alloc_buffer((5, 7, 2), "float32")
            for y, x, n, k in T.grid(5, 7, 2, 3):
                with T.sblock("conv"):
                    vy, vx, vn, vk = T.axis.remap("SSSR", [y, x, n, k])
                    T.reads(data[0, vy, vx, vk], weight[vk, vn])
                    T.writes(conv[vy, vx, vn])
                    with T.init():
                        conv[vy, vx, vn] = T.float32(0.0)
                    conv[vy, vx, vn] = conv[vy, vx, vn] + data[0, vy, vx, vk] * weight[vk, vn]
            for b, y, x, n in T.grid(1, 5, 7, 2):
                with T.sblock("epilogue"):
                    vb, vy, vx, vn = T.axis.remap("SSSS", [b, y, x, n])
                    T.reads(conv[vy, vx, vn], bias[vn])
                    T.writes(epilogue[vb, vy, vx, vn])
                    epilogue[vb, vy, vx, vn] = T.max(conv[vy, vx, vn] + bias[vn], T.float32(0.0))

        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 2), "float32"):
            cls = After
            with R.dataflow():
                out = R.call_tir(
                    cls.conv2d_float,
                    (x, R.const(weight), R.const(BIAS)),
                    out_ty=R.Tensor((1, 5, 7, 2), "float32"),
                )
                R.output(out)
            return out

    assert_structural_equal(LowerFloatConvolutions(cpu_backend())(Before), After)


def test_int8_data_and_weights_multiply_in_integers() -> None:
    """The head's first convolution: the zero point leaves the int32 accumulator before one scale
    per channel makes it float."""

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 7, 3), "int8")) -> R.Tensor((1, 5, 7, 2), "float32"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(-3, "int8"), axis=-1)
                w = R.dequantize(R.const(INT8), R.const(SCALES_2), R.const(0, "int8"), axis=0)
                out = R.nn.conv2d(
                    d,
                    w,
                    padding=[1, 1, 1, 1],
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                R.output(out)
            return out

    window = Window((3, 3), (1, 1), (1, 1, 1, 1))
    kernel = create_spatial_conv((1, 5, 7, 3), 2, window, "int8", "int8", SCALE)
    constants = (
        INT8.transpose(2, 3, 1, 0),
        np.zeros(2, "float32"),
        np.array([0.25, 0.125], "float32"),
        (3 * INT8.astype("int32").sum((1, 2, 3))).astype("int32"),
        np.array([-3, 0, 0, 0], "int32"),
    )
    expected = expected_call(kernel, (1, 5, 7, 3), "int8", constants, (1, 5, 7, 2))
    assert_structural_equal(LowerFloatConvolutions(cpu_backend())(Before), expected)


def test_weights_fill_the_last_vector_of_the_target() -> None:
    """12 outputs are one vector of 16 lanes with AVX-512, and three of 4 with NEON."""
    weight = np.random.default_rng(0).uniform(-1, 1, (12, 3, 3, 3)).astype("float32")

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 12), "float32"):
            with R.dataflow():
                out = R.nn.conv2d(
                    x,
                    R.const(weight),
                    padding=[1, 1, 1, 1],
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                R.output(out)
            return out

    window = Window((3, 3), (1, 1), (1, 1, 1, 1))
    for dot, padded in ((vnni(512), 16), (sdot(), 12)):
        kernel = create_spatial_conv(
            (1, 5, 7, 3), 12, window, "float32", "float32", BIAS_ONLY, padded
        )
        zeros = np.zeros((3, 3, 3, padded - 12), "float32")
        packed = np.concatenate([weight.transpose(2, 3, 1, 0), zeros], axis=3)
        constants = (packed, np.zeros(12, "float32"))
        expected = expected_call(kernel, (1, 5, 7, 3), "float32", constants, (1, 5, 7, 12))
        assert_structural_equal(LowerFloatConvolutions(cpu_backend(dot))(Before), expected)


def test_int8_weights_stay_int8_under_float_data() -> None:
    """Depthwise with ReLU6, and a bias: the weights' scale is one more operand."""
    bias = np.array([1.0, 2.0, 3.0], "float32")
    traced_bias = bias.reshape(1, 1, 1, 3)

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 3, 4, 3), "float32"):
            with R.dataflow():
                w = R.dequantize(R.const(DEPTHWISE), R.const(SCALES_3), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    x,
                    w,
                    strides=[2, 2],
                    padding=[1, 1, 1, 1],
                    groups=3,
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                biased = R.add(conv, R.const(traced_bias))
                out = R.clip(biased, R.prim_value(0.0), R.prim_value(6.0))
                R.output(out)
            return out

    window = Window((3, 3), (2, 2), (1, 1, 1, 1))
    epilogue = ConvEpilogue(EpilogueKind.SCALE, 0.0, 6.0)
    kernel = create_depthwise((1, 5, 7, 3), window, "float32", "int8", epilogue)
    constants = (DEPTHWISE[:, 0].transpose(1, 2, 0), bias, SCALES_3)
    expected = expected_call(kernel, (1, 5, 7, 3), "float32", constants, (1, 3, 4, 3))
    assert_structural_equal(LowerFloatConvolutions(cpu_backend())(Before), expected)


def test_float_weights_leave_the_dequantize_of_their_data() -> None:
    """int8 data under float weights: nothing to gain in integers, so the data is widened first."""

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 7, 3), "int8")) -> R.Tensor((1, 5, 7, 2), "float32"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(-3, "int8"), axis=-1)
                out = R.nn.conv2d(
                    d,
                    R.const(FLOAT),
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                R.output(out)
            return out

    after = LowerFloatConvolutions(cpu_backend())(Before)
    dequantize, call = bindings(after)
    assert dequantize.value.op.name == "relax.dequantize"
    kernel = create_pointwise((1, 5, 7, 3), 2, "float32", "float32", BIAS_ONLY)
    assert call.value.args[1].fields[0] == dequantize.var
    assert_structural_equal(after[call.value.args[0]], kernel)


def test_result_with_a_second_reader_is_not_swallowed() -> None:
    """The accumulator is read by the ReLU and, in a tuple, by the concat: both see the sum."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 4), "float32"):
            with R.dataflow():
                conv = R.nn.conv2d(
                    x,
                    R.const(FLOAT),
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                active = R.nn.relu(conv)
                out = R.concat((conv, active), axis=3)
                R.output(out)
            return out

    after = LowerFloatConvolutions(cpu_backend())(Before)
    assert [binding.value.op.name for binding in bindings(after)] == [
        "relax.call_tir",
        "relax.nn.relu",
        "relax.concat",
    ]
    kernel = create_pointwise((1, 5, 7, 3), 2, "float32", "float32", BIAS_ONLY)
    assert_structural_equal(after[bindings(after)[0].value.args[0]], kernel)


def test_two_convolutions_in_a_row_without_bias() -> None:
    """What follows the first is no bias but a convolution of its own."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 2), "float32"):
            with R.dataflow():
                first = R.nn.conv2d(
                    x,
                    R.const(SQUARE),
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                out = R.nn.conv2d(
                    first,
                    R.const(FLOAT),
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                R.output(out)
            return out

    first, second = bindings(LowerFloatConvolutions(cpu_backend())(Before))
    assert first.value.op.name == second.value.op.name == "relax.call_tir"
    assert second.value.args[1].fields[0] == first.var
    np.testing.assert_array_equal(first.value.args[1].fields[1].value.numpy(), SQUARE[:, :, 0, 0].T)


def test_sum_of_two_tensors_is_no_bias() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 3), "float32"):
            with R.dataflow():
                conv = R.nn.conv2d(
                    x,
                    R.const(SQUARE),
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                out = R.add(conv, x)
                R.output(out)
            return out

    after = LowerFloatConvolutions(cpu_backend())(Before)
    assert [b.value.op.name for b in bindings(after)] == ["relax.call_tir", "relax.add"]


def test_one_number_per_column_is_no_bias() -> None:
    """There are as many columns as channels here, so the size alone does not tell."""
    per_column = np.arange(3, dtype="float32").reshape(1, 1, 3, 1)

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 3, 3), "float32")) -> R.Tensor((1, 5, 3, 3), "float32"):
            with R.dataflow():
                conv = R.nn.conv2d(
                    x,
                    R.const(SQUARE),
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                out = R.add(conv, R.const(per_column))
                R.output(out)
            return out

    after = LowerFloatConvolutions(cpu_backend())(Before)
    assert [b.value.op.name for b in bindings(after)] == ["relax.call_tir", "relax.add"]


def convolution(weight: relax.Expr, **options) -> tvm.IRModule:
    """main(x) with one convolution of four channels."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 6, 6, 4), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            conv = builder.emit(relax.op.nn.conv2d(x, weight, **LAYOUT, **options), "conv")
            result = builder.emit_output(conv)
        builder.emit_func_output(result)
    return builder.get()


ONES = np.ones((4, 4, 1, 1), "float32")


def test_convolution_in_groups_is_not_taken_for_a_dense_one() -> None:
    before = convolution(relax.const(ONES[:, :2]), groups=2)
    (binding,) = bindings(LowerFloatConvolutions(cpu_backend())(before))
    _, weight, *_ = binding.value.args[1].fields
    # Rows, columns, inputs of a group, outputs.
    assert tuple(weight.value.shape) == (1, 1, 2, 4)


def test_convolution_with_computed_weights_is_an_error() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(
            x: R.Tensor((1, 5, 7, 3), "float32"), w: R.Tensor((2, 3, 1, 1), "float32")
        ) -> R.Tensor((1, 5, 7, 2), "float32"):
            with R.dataflow():
                out = R.nn.conv2d(x, w, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC")
                R.output(out)
            return out

    with pytest.raises(GraphError, match="out has no kernel: the weights are no constants"):
        LowerFloatConvolutions(cpu_backend())(Before)


SCALE = ConvEpilogue(EpilogueKind.SCALE)
BIAS_ONLY = ConvEpilogue(EpilogueKind.BIAS)


def bindings(mod: tvm.IRModule) -> list[relax.VarBinding]:
    return list(mod["main"].body.blocks[0].bindings)


def expected_call(kernel, shape, dtype, constants, out_shape) -> tvm.IRModule:
    """A module whose main calls ``kernel`` on one parameter and ``constants``."""
    builder = relax.BlockBuilder()
    param = relax.Var("x", relax.TensorType(shape, dtype))
    with builder.function("main", [param]):
        with builder.dataflow():
            args = [relax.const(np.ascontiguousarray(constant)) for constant in constants]
            function = builder.add_func(kernel, "conv2d_float")
            ty = relax.TensorType(out_shape, "float32")
            result = builder.emit_output(relax.op.call_tir(function, [param, *args], ty))
        builder.emit_func_output(result)
    return builder.get()
