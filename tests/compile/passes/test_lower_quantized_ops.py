"""LowerQuantizedOps: dequantize-op-quantize in, one integer kernel with its constants out.

The kernels for a table, a sum and a 1x1 convolution are written out in full; for the other
quantized ops the kernel comes from its creator, and what is tested is which one is called with
which constants. That kernels compute the right numbers is tested with them.
"""

from __future__ import annotations

import numpy as np
from backends import cpu_backend
from quantized_op_cases import (
    expected_call,
    only_call,
    sigmoid_table,
)
from tvm import tirx
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.kernels.common.bilinear import create_bilinear
from compile.kernels.common.border import Border
from compile.kernels.common.quantize_op import quantize_int8
from compile.kernels.cpu.plain.elementwise import create_multiply, create_rescale
from compile.kernels.cpu.plain.mean import create_mean
from compile.kernels.cpu.plain.move import create_bordered, create_concat, create_upsample
from compile.passes.lower_quantized_ops import LowerQuantizedOps


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

    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), After)


def test_picture_with_its_scaling_is_one_requantization() -> None:
    """uint8 to 2x - 1, as the network reads a photograph: four ops, one multiply around 127.5."""

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

    after = LowerQuantizedOps(cpu_backend())(Before)
    _, multiplier, quant = (arg for arg in only_call(after).args[1].fields)
    assert_structural_equal(after[only_call(after).args[0]], create_rescale((1, 2, 3, 4), "uint8"))
    levels = np.arange(256, dtype=np.float32) / np.float32(255) * np.float32(2) - np.float32(1)
    steps = levels * (np.float32(1) / np.float32(1 / 127))
    twice = 2 * np.arange(256, dtype=np.float32) - 255
    np.testing.assert_array_equal(np.rint(twice * multiplier.value.numpy()), np.rint(steps))
    assert quant.value.numpy().tolist() == [255, 0, -127, 127]


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
                    out[v0, v1, v2, v3] = quantize_int8(
                        T.call_llvm_pure_intrin(
                            "float32",
                            "llvm.arithmetic.fence",
                            T.Cast("float32", T.Cast("int32", left[0, v1, v2, v3]) - quant[0])
                            * multiplier[0],
                        )
                        + T.call_llvm_pure_intrin(
                            "float32",
                            "llvm.arithmetic.fence",
                            T.Cast("float32", T.Cast("int32", right[0, v1, v2, v3]) - quant[4])
                            * multiplier[1],
                        ),
                        quant[1],
                        quant[2],
                        quant[3],
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

    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), After)


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
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


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
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


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
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


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
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_a_concat_of_a_concat_reads_what_that_one_reads() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(
            a: R.Tensor((1, 2, 3, 4), "int8"),
            b: R.Tensor((1, 2, 3, 5), "int8"),
            c: R.Tensor((1, 2, 3, 1), "int8"),
        ) -> R.Tensor((1, 2, 3, 10), "int8"):
            with R.dataflow():
                x = R.dequantize(a, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                y = R.dequantize(b, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                z = R.dequantize(c, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                two = R.concat((x, y), axis=3)
                q = R.quantize(two, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                three = R.concat((d, z), axis=3)
                out = R.quantize(three, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                R.output(out)
            return out

    after = LowerQuantizedOps(cpu_backend())(Before)
    call = only_call(after)
    assert_structural_equal(after[call.args[0]], create_concat(2, 3, (4, 5, 1), "int8"))
    assert [tensor.name for tensor in call.args[1].fields] == ["a", "b", "c"]


def test_border_moves_bytes() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 6, 4), "int8")) -> R.Tensor((1, 8, 10, 4), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                padded = R.nn.pad(d, [0, 0, 1, 2, 3, 1, 0, 0], "reflect")
                out = R.quantize(padded, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                R.output(out)
            return out

    kernel = create_bordered((1, 5, 6, 4), Border((1, 3, 2, 1), "reflect"), "int8")
    expected = expected_call(kernel, "border", [(1, 5, 6, 4)], (), (1, 8, 10, 4))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_border_of_zeros_is_one_of_the_zero_point() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 6, 4), "int8")) -> R.Tensor((1, 8, 10, 4), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                padded = R.nn.pad(d, [0, 0, 1, 2, 3, 1, 0, 0], "constant")
                out = R.quantize(padded, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                R.output(out)
            return out

    kernel = create_bordered((1, 5, 6, 4), Border((1, 3, 2, 1), "constant", 3), "int8")
    expected = expected_call(kernel, "border", [(1, 5, 6, 4)], (), (1, 8, 10, 4))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_bilinear_resizing_keeps_scale_and_zero_point() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor((1, 6, 5, 4), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                large = R.image.resize2d(d, R.shape([6, 5]), layout="NHWC", method="linear")
                out = R.quantize(large, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                R.output(out)
            return out

    kernel = create_bilinear("elementwise", (1, 2, 3, 4), (6, 5), "int8")
    # Rows stand at thirds of a pixel, columns at fifths.
    constants = np.array([1 / (3 * 5)], "float32"), np.array([0, 0, -128, 127], "int32")
    expected = expected_call(kernel, "bilinear", [(1, 2, 3, 4)], constants, (1, 6, 5, 4))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_equal_quantized_ops_share_one_kernel() -> None:
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

    after = LowerQuantizedOps(cpu_backend())(Before)
    kernels = [v.name_hint for v, f in after.functions_items() if isinstance(f, tirx.PrimFunc)]
    assert kernels == ["table_lookup"]
