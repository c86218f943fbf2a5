"""LowerIntegerIslands: dequantize-op-quantize in, one integer kernel with its constants out.

The kernels for a table, a sum and a 1x1 convolution are written out in full; for the other islands
the kernel comes from its creator, and what is tested is which one is called with which constants.
That kernels compute the right numbers is tested with them.
"""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tvm
from tvm import relax, tirx
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.errors import GraphError
from compile.kernels.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.depthwise import create_depthwise
from compile.kernels.elementwise import create_multiply
from compile.kernels.mean import create_mean
from compile.kernels.move import create_concat, create_upsample
from compile.kernels.spatial_conv import create_spatial_conv
from compile.kernels.window import Window
from compile.passes.lower_integer_islands import LowerIntegerIslands

LOGGER = "compile.passes.lower_integer_islands"

POINTWISE = np.array([[1, -2, 3], [127, 0, -127]], "int8").reshape(2, 3, 1, 1)
SPATIAL = np.arange(-27, 27).reshape(2, 3, 3, 3).astype("int8")
DEPTHWISE = np.arange(-13, 14).reshape(3, 1, 3, 3).astype("int8")
SCALES_2 = np.array([0.5, 0.25], "float32")
SCALES_3 = np.array([0.5, 0.25, 0.125], "float32")
BIAS_2 = np.array([1.0, -3.0], "float32").reshape(1, 1, 1, 2)


def test_sigmoid_is_a_table() -> None:
    table = sigmoid_table(0.0625, 4, 1 / 256, -128)

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor((1, 2, 3, 4), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.0625, "float32"), R.const(4, "int8"), axis=-1)
                s = R.sigmoid(d)
                out = R.quantize(s, R.const(1 / 256, "float32"), R.const(-128, "int8"), axis=-1)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @T.prim_func(private=True, s_tir=True)
        def table_lookup(
            data: T.Buffer((1, 2, 3, 4), "int8"),
            table: T.Buffer((256,), "int8"),
            out: T.Buffer((1, 2, 3, 4), "int8"),
        ):
            T.func_attr({"tirx.noalias": True, "mqnet.family": "elementwise", "mqnet.macs": 0})
            for i0, i1, i2, i3 in T.grid(1, 2, 3, 4):
                with T.sblock("table_lookup"):
                    v0, v1, v2, v3 = T.axis.remap("SSSS", [i0, i1, i2, i3])
                    T.reads(
                        table[T.Cast("int32", data[v0, v1, v2, v3]) + 128], data[v0, v1, v2, v3]
                    )
                    T.writes(out[v0, v1, v2, v3])
                    out[v0, v1, v2, v3] = table[T.Cast("int32", data[v0, v1, v2, v3]) + 128]

        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor((1, 2, 3, 4), "int8"):
            cls = After
            with R.dataflow():
                out = R.call_tir(
                    cls.table_lookup,
                    (q, R.const(table)),
                    out_ty=R.Tensor((1, 2, 3, 4), "int8"),
                )
                R.output(out)
            return out

    assert_structural_equal(LowerIntegerIslands()(Before), After)


def test_picture_with_its_scaling_is_a_table_of_256_bytes() -> None:
    """uint8 to 2x - 1, as the network reads a photograph: four ops, one lookup."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 2, 3, 4), "uint8")) -> R.Tensor((1, 2, 3, 4), "int8"):
            with R.dataflow():
                f = R.divide(R.astype(x, "float32"), R.const(255.0, "float32"))
                y = R.subtract(R.multiply(f, R.const(2.0, "float32")), R.const(1.0, "float32"))
                out = R.quantize(y, R.const(1 / 127, "float32"), R.const(0, "int8"), axis=-1)
                R.output(out)
            return out

    after = LowerIntegerIslands()(Before)
    _, table = only_call(after).args[1].fields
    levels = np.arange(256, dtype=np.float32) / np.float32(255) * np.float32(2) - np.float32(1)
    steps = levels * (np.float32(1) / np.float32(1 / 127))
    np.testing.assert_array_equal(table.value.numpy(), np.rint(steps).astype("int8"))
    assert len(set(table.value.numpy())) == 255  # -1 and 1 are 127 steps from 0


def test_residual_sum_with_relu() -> None:
    """ReLU has become the lower limit: zero, which is the output's zero point."""
    multiplier = np.array([0.5 / 0.25, 0.125 / 0.25], "float32")
    quant = np.array([3, -100, -100, 127, -7], "int32")

    @I.ir_module
    class Before:
        @R.function
        def main(a: R.Tensor((1, 2, 3, 4), "int8"), b: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor(
            (1, 2, 3, 4), "int8"
        ):
            with R.dataflow():
                left = R.dequantize(a, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                right = R.dequantize(b, R.const(0.125, "float32"), R.const(-7, "int8"), axis=-1)
                total = R.nn.relu(R.add(left, right))
                out = R.quantize(total, R.const(0.25, "float32"), R.const(-100, "int8"), axis=-1)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @T.prim_func(private=True, s_tir=True)
        def add(
            left: T.Buffer((1, 2, 3, 4), "int8"),
            right: T.Buffer((1, 2, 3, 4), "int8"),
            multiplier: T.Buffer((2,), "float32"),
            quant: T.Buffer((5,), "int32"),
            out: T.Buffer((1, 2, 3, 4), "int8"),
        ):
            T.func_attr({"tirx.noalias": True, "mqnet.family": "elementwise", "mqnet.macs": 0})
            for i0, i1, i2, i3 in T.grid(1, 2, 3, 4):
                with T.sblock("add"):
                    v0, v1, v2, v3 = T.axis.remap("SSSS", [i0, i1, i2, i3])
                    T.reads(left[0, v1, v2, v3], quant[0:5], multiplier[0:2], right[0, v1, v2, v3])
                    T.writes(out[v0, v1, v2, v3])
                    out[v0, v1, v2, v3] = T.Cast(
                        "int8",
                        T.Cast(
                            "int32",
                            T.max(
                                T.min(
                                    T.nearbyint(
                                        T.call_llvm_pure_intrin(
                                            "float32",
                                            "llvm.arithmetic.fence",
                                            T.Cast(
                                                "float32",
                                                T.Cast("int32", left[0, v1, v2, v3]) - quant[0],
                                            )
                                            * multiplier[0],
                                        )
                                        + T.call_llvm_pure_intrin(
                                            "float32",
                                            "llvm.arithmetic.fence",
                                            T.Cast(
                                                "float32",
                                                T.Cast("int32", right[0, v1, v2, v3]) - quant[4],
                                            )
                                            * multiplier[1],
                                        )
                                    ),
                                    T.Cast("float32", quant[3] - quant[1]),
                                ),
                                T.Cast("float32", quant[2] - quant[1]),
                            ),
                        )
                        + quant[1],
                    )

        @R.function
        def main(a: R.Tensor((1, 2, 3, 4), "int8"), b: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor(
            (1, 2, 3, 4), "int8"
        ):
            cls = After
            with R.dataflow():
                out = R.call_tir(
                    cls.add,
                    (a, b, R.const(multiplier), R.const(quant)),
                    out_ty=R.Tensor((1, 2, 3, 4), "int8"),
                )
                R.output(out)
            return out

    assert_structural_equal(LowerIntegerIslands()(Before), After)


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
            conv = T.sblock_alloc_buffer((35, 2), "int32")
            for pixel, n, k in T.grid(35, 2, 3):
                with T.sblock("conv"):
                    vp, vn, vk = T.axis.remap("SSR", [pixel, n, k])
                    T.reads(data[0, vp // 7, vp % 7, vk], weight[vk, vn])
                    T.writes(conv[vp, vn])
                    with T.init():
                        conv[vp, vn] = 0
                    conv[vp, vn] = conv[vp, vn] + T.Cast(
                        "int32", data[0, vp // 7, vp % 7, vk]
                    ) * T.Cast("int32", weight[vk, vn])
            for b, y, x, n in T.grid(1, 5, 7, 2):
                with T.sblock("epilogue"):
                    vb, vy, vx, vn = T.axis.remap("SSSS", [b, y, x, n])
                    T.reads(conv[vy * 7 + vx, vn], bias[vn], multiplier[vn], quant[1:4])
                    T.writes(epilogue[vb, vy, vx, vn])
                    epilogue[vb, vy, vx, vn] = T.Cast(
                        "int8",
                        T.Cast(
                            "int32",
                            T.max(
                                T.min(
                                    T.nearbyint(
                                        T.Cast("float32", conv[vy * 7 + vx, vn] + bias[vn])
                                        * multiplier[vn]
                                    ),
                                    T.Cast("float32", quant[3] - quant[1]),
                                ),
                                T.Cast("float32", quant[2] - quant[1]),
                            ),
                        )
                        + quant[1],
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

    assert_structural_equal(LowerIntegerIslands()(Before), After)


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
    assert_structural_equal(LowerIntegerIslands()(Before), expected)


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
    assert_structural_equal(LowerIntegerIslands()(Before), expected)


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

    call = only_call(LowerIntegerIslands()(Before))
    assert call.args[0].name_hint == "conv2d_requantize"
    _, _, integer_bias, _, quant = call.args[1].fields
    assert integer_bias.value.numpy().tolist() == [8]
    assert quant.value.numpy().tolist() == [0, 5, 5, 127]


def test_channel_gate() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(a: R.Tensor((1, 2, 3, 4), "int8"), b: R.Tensor((1, 1, 1, 4), "int8")) -> R.Tensor(
            (1, 2, 3, 4), "int8"
        ):
            with R.dataflow():
                left = R.dequantize(a, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                right = R.dequantize(b, R.const(0.125, "float32"), R.const(-7, "int8"), axis=-1)
                product = R.multiply(left, right)
                out = R.quantize(product, R.const(0.25, "float32"), R.const(9, "int8"), axis=-1)
                R.output(out)
            return out

    kernel = create_multiply((1, 2, 3, 4), (1, 1, 1, 4))
    constants = (np.array([0.25], "float32"), np.array([3, 9, -128, 127, -7], "int32"))
    shapes = [(1, 2, 3, 4), (1, 1, 1, 4)]
    expected = expected_call(kernel, "multiply", shapes, constants, (1, 2, 3, 4))
    assert_structural_equal(LowerIntegerIslands()(Before), expected)


def test_global_mean() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor((1, 1, 1, 4), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                mean = R.nn.adaptive_avg_pool2d(d, [1, 1], layout="NHWC")
                out = R.quantize(mean, R.const(0.25, "float32"), R.const(9, "int8"), axis=-1)
                R.output(out)
            return out

    constants = (np.array([2 / 6], "float32"), np.array([3, 9, -128, 127], "int32"))
    kernel = create_mean((1, 2, 3, 4))
    expected = expected_call(kernel, "mean", [(1, 2, 3, 4)], constants, (1, 1, 1, 4))
    assert_structural_equal(LowerIntegerIslands()(Before), expected)


def test_upsampling_moves_bytes() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor((1, 6, 9, 4), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                large = R.image.resize2d(
                    d, R.shape([6, 9]), layout="NHWC", method="nearest_neighbor"
                )
                out = R.quantize(large, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                R.output(out)
            return out

    kernel = create_upsample((1, 2, 3, 4), 3, "int8")
    expected = expected_call(kernel, "upsample", [(1, 2, 3, 4)], (), (1, 6, 9, 4))
    assert_structural_equal(LowerIntegerIslands()(Before), expected)


def test_concat_moves_bytes() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(a: R.Tensor((1, 2, 3, 4), "int8"), b: R.Tensor((1, 2, 3, 5), "int8")) -> R.Tensor(
            (1, 2, 3, 9), "int8"
        ):
            with R.dataflow():
                left = R.dequantize(a, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                right = R.dequantize(b, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                both = R.concat((left, right), axis=3)
                out = R.quantize(both, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                R.output(out)
            return out

    kernel = create_concat(2, 3, (4, 5), "int8")
    expected = expected_call(kernel, "concat", [(1, 2, 3, 4), (1, 2, 3, 5)], (), (1, 2, 3, 9))
    assert_structural_equal(LowerIntegerIslands()(Before), expected)


def test_equal_islands_share_one_kernel() -> None:
    """Constants are arguments, so two convolutions of one shape are one kernel called twice."""

    @I.ir_module
    class Before:
        @R.function
        def main(a: R.Tensor((1, 2, 3, 4), "int8"), b: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tuple(
            R.Tensor((1, 2, 3, 4), "int8"), R.Tensor((1, 2, 3, 4), "int8")
        ):
            with R.dataflow():
                left = R.dequantize(a, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                right = R.dequantize(b, R.const(0.25, "float32"), R.const(0, "int8"), axis=-1)
                one = R.quantize(
                    R.sigmoid(left), R.const(1 / 256, "float32"), R.const(-128, "int8"), axis=-1
                )
                two = R.quantize(
                    R.tanh(right), R.const(1 / 128, "float32"), R.const(0, "int8"), axis=-1
                )
                out = (one, two)
                R.output(out)
            return out

    after = LowerIntegerIslands()(Before)
    kernels = [v.name_hint for v, f in after.functions_items() if isinstance(f, tirx.PrimFunc)]
    assert kernels == ["table_lookup"]


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
        LowerIntegerIslands()(Before)


SHAPE = (1, 4, 6, 4)
PER_TENSOR = (np.float32(0.5), np.int8(3))


def island(build, *parameters, output=PER_TENSOR) -> tvm.IRModule:
    """dequantize of two int8 parameters, what ``build`` makes of them, quantize."""
    builder = relax.BlockBuilder()
    names = "ab"[: max(1, len(parameters))]
    params = [relax.Var(name, relax.TensorType(SHAPE, "int8")) for name in names]
    with builder.function("main", params):
        with builder.dataflow():
            operands = []
            for param, (scale, zero_point) in zip(params, parameters or [PER_TENSOR], strict=True):
                scale, zero_point = relax.const(scale), relax.const(zero_point)
                operands.append(builder.emit(relax.op.dequantize(param, scale, zero_point, -1)))
            value = build(builder, *operands)
            scale, zero_point = map(relax.const, output)
            result = relax.op.quantize(value, scale, zero_point, -1, "int8")
            result = builder.emit_output(result, "result")
        builder.emit_func_output(result)
    return builder.get()


def convolution(builder, data, weight=None, **options):
    """conv2d of ``data`` with int8 weights of its number of channels."""
    if weight is None:
        stored = relax.const(np.ones((4, 4 // options.get("groups", 1), 1, 1), "int8"))
        scales = relax.const(np.ones(4, "float32"))
        weight = relax.op.dequantize(stored, scales, relax.const(np.int8(0)), 0)
        weight = builder.emit(weight)
    layouts = {"data_layout": "NHWC", "kernel_layout": "OIHW", "out_layout": "NHWC"}
    return builder.emit(relax.op.nn.conv2d(data, weight, **layouts, **options))


def asymmetric_weight(builder):
    stored = relax.const(np.ones((4, 4, 1, 1), "int8"))
    scales = relax.const(np.ones(4, "float32"))
    return builder.emit(relax.op.dequantize(stored, scales, relax.const(np.int8(1)), 0))


def resize(builder, data, size, method="nearest_neighbor"):
    return builder.emit(relax.op.image.resize2d(data, size, layout="NHWC", method=method))


OTHER = (np.float32(0.25), np.int8(3))
REFUSED = [
    (
        "nn.softmax has no integer kernel",
        island(lambda bb, a: bb.emit(relax.op.nn.softmax(a, axis=3))),
    ),
    (
        "sigmoid has no integer kernel",
        island(lambda bb, a: bb.emit(relax.op.sigmoid(convolution(bb, a)))),
    ),
    (
        "the convolution is dilated",
        island(lambda bb, a: convolution(bb, a, dilation=2)),
    ),
    (
        "the convolution has 2 groups: neither dense nor depthwise",
        island(lambda bb, a: convolution(bb, a, groups=2)),
    ),
    (
        "the convolution has a float operand",
        island(lambda bb, a: convolution(bb, a, relax.const(np.ones((4, 4, 1, 1), "float32")))),
    ),
    (
        "the weights are not constants, symmetric per output channel",
        island(lambda bb, a: convolution(bb, a, asymmetric_weight(bb))),
    ),
    (
        "the bias is not one number per output channel",
        island(
            lambda bb, a: bb.emit(
                relax.op.add(convolution(bb, a), relax.const(np.ones((1, 1, 6, 4), "float32")))
            )
        ),
    ),
    (
        "multiply has no integer kernel",
        island(lambda bb, a: bb.emit(relax.op.multiply(a, relax.const(np.ones(4, "float32"))))),
    ),
    (
        "average pooling is lowered for a 1x1 result only",
        island(lambda bb, a: bb.emit(relax.op.nn.adaptive_avg_pool2d(a, [2, 2], layout="NHWC"))),
    ),
    (
        "resizing is lowered for nearest neighbours and whole factors only",
        island(lambda bb, a: resize(bb, a, (8, 12), "linear")),
    ),
    (
        "resizing is lowered for nearest neighbours and whole factors only",
        island(lambda bb, a: resize(bb, a, (8, 6))),
    ),
    (
        "moving bytes needs one quantization for operands and result",
        island(lambda bb, a: resize(bb, a, (8, 12)), output=OTHER),
    ),
    (
        "moving bytes needs one quantization for operands and result",
        island(lambda bb, a, b: bb.emit(relax.op.concat([a, b], axis=3)), PER_TENSOR, OTHER),
    ),
    (
        "concatenation is lowered for two tensors along channels only",
        island(lambda bb, a, b: bb.emit(relax.op.concat([a, b], axis=1)), PER_TENSOR, PER_TENSOR),
    ),
    (
        "quantize is not per tensor with constant parameters",
        island(
            lambda bb, a: bb.emit(relax.op.sigmoid(a)), output=(np.ones(4, "float32"), np.int8(0))
        ),
    ),
]


@pytest.mark.parametrize(("why", "before"), REFUSED)
def test_island_without_a_kernel_stays_and_says_why(why: str, before, caplog) -> None:
    caplog.set_level(logging.INFO, LOGGER)
    assert_structural_equal(LowerIntegerIslands()(before), before)
    assert caplog.messages == [f"result stays in float: {why}"]


REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)


def sigmoid_table(scale: float, zero_point: int, out_scale: float, out_zero_point: int):
    """By the definition, in double precision; the values chosen are no rounding ties."""
    real = (np.arange(-128, 128) - zero_point) * scale
    steps = np.rint(1 / (1 + np.exp(-real)) / out_scale) + out_zero_point
    return np.clip(steps, -128, 127).astype("int8")


def expected_call(kernel, name, shapes, constants, out_shape) -> tvm.IRModule:
    """A module whose main calls ``kernel`` on int8 parameters of ``shapes`` and ``constants``."""
    builder = relax.BlockBuilder()
    params = [relax.Var(f"p{i}", relax.TensorType(s, "int8")) for i, s in enumerate(shapes)]
    with builder.function("main", params):
        with builder.dataflow():
            args = [relax.const(np.ascontiguousarray(constant)) for constant in constants]
            function = builder.add_func(kernel, name)
            ty = relax.TensorType(out_shape, "int8")
            call = relax.op.call_tir(function, [*params, *args], ty)
            result = builder.emit_output(call)
        builder.emit_func_output(result)
    return builder.get()


def only_call(mod: tvm.IRModule) -> relax.Call:
    (binding,) = mod["main"].body.blocks[0].bindings
    assert binding.value.op.name == "relax.call_tir"
    return binding.value
