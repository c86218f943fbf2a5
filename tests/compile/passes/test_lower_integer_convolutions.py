"""LowerQuantizedOps on convolutions: packed weights, int32 biases, multipliers, limits."""

from __future__ import annotations

import numpy as np
import pytest
from backends import cpu_backend
from quantized_op_cases import (
    BIAS_2,
    DEPTHWISE,
    POINTWISE,
    REQUANTIZE,
    SCALES_2,
    SCALES_3,
    SPATIAL,
    expected_call,
    only_call,
)
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.kernels.common.quantize_op import quantize_int8
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.depthwise import create_depthwise
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.passes.lower_quantized_ops import LowerQuantizedOps
from compile.support.errors import GraphError


def test_pointwise_convolution_with_bias_and_relu6() -> None:
    weight = POINTWISE[:, :, 0, 0].T.copy()  # [I,O]: output channels are the vector axis
    # bias / (s_x * s_w) is 4 and -24; 3 * (sum of the channel's weights) goes off for z_x = 3.
    bias = np.array([4 - 3 * 2, -24 - 3 * 0], "int32")
    multiplier = np.array([0.5 * 0.5 / 0.125, 0.5 * 0.25 / 0.125], "float32")
    quant = np.array([3, -20, -20, -20 + 48], "int32")

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 7, 3), "int8")) -> R.Tensor((1, 5, 7, 2), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                w = R.dequantize(R.const(POINTWISE), R.const(SCALES_2), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    d, w, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
                )
                biased = R.add(conv, R.const(BIAS_2))
                active = R.clip(biased, R.prim_value(0.0), R.prim_value(6.0))
                out = R.quantize(active, R.const(0.125, "float32"), R.const(-20, "int8"), axis=-1)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @T.prim_func(private=True, s_tir=True)
        def conv2d_requantize(
            data: T.Buffer((1, 5, 7, 3), "int8"),
            weight: T.Buffer((3, 2), "int8"),
            bias: T.Buffer((2,), "int32"),
            multiplier: T.Buffer((2,), "float32"),
            quant: T.Buffer((4,), "int32"),
            epilogue: T.Buffer((1, 5, 7, 2), "int8"),
        ):
            T.func_attr({"tirx.noalias": True, "mqnet.family": "pointwise", "mqnet.macs": 210})
            conv = T.sblock_alloc_buffer((5, 7, 2), "int32")
            for y, x, n, k in T.grid(5, 7, 2, 3):
                with T.sblock("conv"):
                    vy, vx, vn, vk = T.axis.remap("SSSR", [y, x, n, k])
                    T.reads(data[0, vy, vx, vk], weight[vk, vn])
                    T.writes(conv[vy, vx, vn])
                    with T.init():
                        conv[vy, vx, vn] = 0
                    conv[vy, vx, vn] = conv[vy, vx, vn] + T.Cast(
                        "int32", data[0, vy, vx, vk]
                    ) * T.Cast("int32", weight[vk, vn])
            for b, y, x, n in T.grid(1, 5, 7, 2):
                with T.sblock("epilogue"):
                    vb, vy, vx, vn = T.axis.remap("SSSS", [b, y, x, n])
                    T.reads(conv[vy, vx, vn], bias[vn], multiplier[vn], quant[1:4])
                    T.writes(epilogue[vb, vy, vx, vn])
                    epilogue[vb, vy, vx, vn] = quantize_int8(
                        T.Cast("float32", conv[vy, vx, vn] + bias[vn]) * multiplier[vn],
                        quant[1],
                        quant[2],
                        quant[3],
                    )

        @R.function
        def main(q: R.Tensor((1, 5, 7, 3), "int8")) -> R.Tensor((1, 5, 7, 2), "int8"):
            cls = After
            with R.dataflow():
                out = R.call_tir(
                    cls.conv2d_requantize,
                    (q, R.const(weight), R.const(bias), R.const(multiplier), R.const(quant)),
                    out_ty=R.Tensor((1, 5, 7, 2), "int8"),
                )
                R.output(out)
            return out

    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), After)


def test_strided_convolution() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 7, 3), "int8")) -> R.Tensor((1, 3, 4, 2), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                w = R.dequantize(R.const(SPATIAL), R.const(SCALES_2), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    d,
                    w,
                    strides=[2, 2],
                    padding=[1, 1, 1, 1],
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                out = R.quantize(conv, R.const(0.125, "float32"), R.const(-20, "int8"), axis=-1)
                R.output(out)
            return out

    kernel = create_spatial_conv(
        (1, 5, 7, 3), 2, Window((3, 3), (2, 2), (1, 1, 1, 1)), "int8", "int8", REQUANTIZE
    )
    constants = (
        SPATIAL.transpose(2, 3, 1, 0),
        (-3 * SPATIAL.astype("int32").sum((1, 2, 3))).astype("int32"),
        np.array([2.0, 1.0], "float32"),
        np.array([3, -20, -128, 127], "int32"),
    )
    expected = expected_call(kernel, "conv2d_requantize", [(1, 5, 7, 3)], constants, (1, 3, 4, 2))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_depthwise_convolution() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 7, 3), "int8")) -> R.Tensor((1, 5, 7, 3), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(-1, "int8"), axis=-1)
                w = R.dequantize(R.const(DEPTHWISE), R.const(SCALES_3), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    d,
                    w,
                    padding=[1, 1, 1, 1],
                    groups=3,
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                out = R.quantize(conv, R.const(0.25, "float32"), R.const(0, "int8"), axis=-1)
                R.output(out)
            return out

    window = Window((3, 3), (1, 1), (1, 1, 1, 1))
    kernel = create_depthwise((1, 5, 7, 3), window, "int8", "int8", REQUANTIZE)
    constants = (
        DEPTHWISE[:, 0].transpose(1, 2, 0),
        DEPTHWISE.astype("int32").sum((1, 2, 3)).astype("int32"),
        np.array([1.0, 0.5, 0.25], "float32"),
        np.array([-1, 0, -128, 127], "int32"),
    )
    expected = expected_call(kernel, "conv2d_requantize", [(1, 5, 7, 3)], constants, (1, 5, 7, 3))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), ()], ids=["bias", "scalar"])
def test_convolution_to_one_channel_keeps_its_bias(shape: tuple[int, ...]) -> None:
    """The bias of one channel is a single number; it is still a bias and not a unary op."""
    weight = POINTWISE[:1]
    scale = SCALES_2[:1]
    bias = np.full(shape, 2.0, "float32")

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 7, 3), "int8")) -> R.Tensor((1, 5, 7, 1), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                w = R.dequantize(R.const(weight), R.const(scale), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    d, w, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
                )
                biased = R.nn.relu(R.add(conv, R.const(bias)))
                out = R.quantize(biased, R.const(0.25, "float32"), R.const(5, "int8"), axis=-1)
                R.output(out)
            return out

    call = only_call(LowerQuantizedOps(cpu_backend())(Before))
    assert call.args[0].name_hint == "conv2d_requantize"
    _, _, integer_bias, _, quant = call.args[1].fields
    assert integer_bias.value.numpy().tolist() == [8]
    assert quant.value.numpy().tolist() == [0, 5, 5, 127]


def test_bias_beyond_int32_names_the_channel() -> None:
    """A channel whose weights are next to zero: its scale is too small for its bias."""
    tiny = np.array([0.5, 1e-12], "float32")

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 7, 3), "int8")) -> R.Tensor((1, 5, 7, 2), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                w = R.dequantize(R.const(POINTWISE), R.const(tiny), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    d, w, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
                )
                biased = R.add(conv, R.const(BIAS_2))
                out = R.quantize(biased, R.const(0.125, "float32"), R.const(0, "int8"), axis=-1)
                R.output(out)
            return out

    with pytest.raises(GraphError, match=r"bias -3 of output channel 1 needs more than 30 bits"):
        LowerQuantizedOps(cpu_backend())(Before)


def test_zeros_around_the_data_are_the_convolution_s_own_padding() -> None:
    """More below and to the right, as strides of TensorFlow have it."""

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 6, 8, 3), "int8")) -> R.Tensor((1, 3, 5, 2), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                padded = R.nn.pad(d, [0, 0, 0, 1, 1, 1, 0, 0])
                w = R.dequantize(R.const(SPATIAL), R.const(SCALES_2), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    padded,
                    w,
                    strides=[2, 2],
                    padding=[0, 0, 0, 1],
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                out = R.quantize(conv, R.const(4.0, "float32"), R.const(9, "int8"), axis=-1)
                R.output(out)
            return out

    after = LowerQuantizedOps(cpu_backend())(Before)
    call = only_call(after)
    window = Window((3, 3), (2, 2), (0, 1, 1, 2))
    kernel = create_spatial_conv((1, 6, 8, 3), 2, window, "int8", "int8", REQUANTIZE)
    assert_structural_equal(after[call.args[0]], kernel)
