"""ConvertLayout: NCHW graphs as the importer makes them, and the NHWC graphs that must come out."""

from __future__ import annotations

import numpy as np
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.passes.convert_layout import ConvertLayout

random = np.random.default_rng(0)
WEIGHT = random.standard_normal((2, 4, 3, 3)).astype("float32")
POINTWISE = random.standard_normal((4, 2, 1, 1)).astype("float32")
BIAS = np.array([0.5, -1.0], "float32")
GAMMA = np.array([1.0, 2.0, 3.0, 4.0], "float32")
PER_CHANNEL = np.array([0.1, 0.2, 0.3, 0.4], "float32").reshape(4, 1, 1)
PER_COLUMN = np.arange(6, dtype="float32")
INT8_WEIGHT = random.integers(-127, 128, (2, 4, 3, 3)).astype("int8")
WEIGHT_SCALE = np.array([0.01, 0.02], "float32")


def test_permutations_at_both_ends_vanish() -> None:
    """A picture NHWC in and out: nothing is left to permute, the bias broadcasts over the last
    axis, and the weights stay OIHW."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 2), "float32"):
            with R.dataflow():
                picture = R.permute_dims(x, [0, 3, 1, 2])
                conv = R.nn.conv2d(picture, R.const(WEIGHT), padding=[1, 1, 1, 1], groups=1)
                bias = R.reshape(R.const(BIAS), (1, 2, 1, 1))
                biased = R.add(conv, bias)
                active = R.clip(biased, R.prim_value(0.0), R.prim_value(6.0))
                out = R.permute_dims(active, [0, 2, 3, 1])
                R.output(out)
            return out

    bias = BIAS.reshape(1, 1, 1, 2)

    @I.ir_module
    class After:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 2), "float32"):
            with R.dataflow():
                conv = R.nn.conv2d(
                    x,
                    R.const(WEIGHT),
                    padding=[1, 1, 1, 1],
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                biased = R.add(conv, R.const(bias))
                active = R.clip(biased, R.prim_value(0.0), R.prim_value(6.0))
                R.output(active)
            return active

    assert_structural_equal(ConvertLayout()(Before), After)


def test_channels_first_picture_is_permuted_before_its_quantization() -> None:
    """A permutation between dequantize and convolution would hide the int8 operand."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 4, 5, 6), "float32")) -> R.Tensor((1, 2, 3, 4), "float32"):
            with R.dataflow():
                q = R.quantize(x, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                weight = R.dequantize(
                    R.const(INT8_WEIGHT), R.const(WEIGHT_SCALE), R.const(0, "int8"), axis=0
                )
                out = R.nn.conv2d(d, weight)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def main(x: R.Tensor((1, 4, 5, 6), "float32")) -> R.Tensor((1, 2, 3, 4), "float32"):
            with R.dataflow():
                picture = R.permute_dims(x, [0, 2, 3, 1])
                q = R.quantize(picture, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                weight = R.dequantize(
                    R.const(INT8_WEIGHT), R.const(WEIGHT_SCALE), R.const(0, "int8"), axis=0
                )
                conv = R.nn.conv2d(
                    d, weight, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
                )
                out = R.permute_dims(conv, [0, 3, 1, 2])
                R.output(out)
            return out

    assert_structural_equal(ConvertLayout()(Before), After)


def test_every_op_with_an_axis_or_a_layout() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 10, 12, 8), "float32"):
            with R.dataflow():
                picture = R.permute_dims(x, [0, 3, 1, 2])
                norm = R.nn.instance_norm(
                    picture,
                    R.const(GAMMA),
                    R.const(-GAMMA),
                    channel_axis=1,
                    axes=[2, 3],
                    epsilon=1e-3,
                )
                mean = R.nn.adaptive_avg_pool2d(norm, [1, 1], layout="NCHW")
                gate = R.multiply(norm, R.sigmoid(mean))
                both = R.concat((gate, picture), axis=1)
                large = R.image.resize2d(
                    both,
                    R.shape([10, 12]),
                    layout="NCHW",
                    method="nearest_neighbor",
                    coordinate_transformation_mode="asymmetric",
                    rounding_method="floor",
                )
                out = R.permute_dims(large, [0, 2, 3, 1])
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 10, 12, 8), "float32"):
            with R.dataflow():
                norm = R.nn.instance_norm(
                    x, R.const(GAMMA), R.const(-GAMMA), channel_axis=3, axes=[1, 2], epsilon=1e-3
                )
                mean = R.nn.adaptive_avg_pool2d(norm, [1, 1], layout="NHWC")
                gate = R.multiply(norm, R.sigmoid(mean))
                both = R.concat((gate, x), axis=3)
                large = R.image.resize2d(
                    both,
                    R.shape([10, 12]),
                    layout="NHWC",
                    method="nearest_neighbor",
                    coordinate_transformation_mode="asymmetric",
                    rounding_method="floor",
                )
                R.output(large)
            return large

    assert_structural_equal(ConvertLayout()(Before), After)


def test_padding_and_maximum_are_of_the_same_axes() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 8, 10, 1), "float32"):
            with R.dataflow():
                picture = R.permute_dims(x, [0, 3, 1, 2])
                padded = R.nn.pad(picture, [0, 0, 0, 0, 1, 2, 3, 1], "reflect")
                largest = R.max(padded, axis=[1], keepdims=True)
                out = R.permute_dims(largest, [0, 2, 3, 1])
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 8, 10, 1), "float32"):
            with R.dataflow():
                padded = R.nn.pad(x, [0, 0, 1, 2, 3, 1, 0, 0], "reflect")
                largest = R.max(padded, axis=[3], keepdims=True)
                R.output(largest)
            return largest

    assert_structural_equal(ConvertLayout()(Before), After)


def test_what_loses_axes_reads_the_traced_layout() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6), "float32"):
            with R.dataflow():
                picture = R.permute_dims(x, [0, 3, 1, 2])
                mean = R.mean(picture, axis=[1], keepdims=True)
                gated = R.multiply(picture, mean)
                out = R.mean(gated, axis=[1])
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6), "float32"):
            with R.dataflow():
                mean = R.mean(x, axis=[3], keepdims=True)
                gated = R.multiply(x, mean)
                traced = R.permute_dims(gated, [0, 3, 1, 2])
                out = R.mean(traced, axis=[1])
                R.output(out)
            return out

    assert_structural_equal(ConvertLayout()(Before), After)


def test_slices_and_softmax_are_of_the_same_axes() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 2, 6, 3), "float32"):
            with R.dataflow():
                picture = R.permute_dims(x, [0, 3, 1, 2])
                part = R.strided_slice(picture, [1, 2], [1, 0], [4, 5], [1, 3])
                shares = R.nn.softmax(part, axis=1)
                out = R.permute_dims(shares, [0, 2, 3, 1])
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 2, 6, 3), "float32"):
            with R.dataflow():
                part = R.strided_slice(x, [3, 1], [1, 0], [4, 5], [1, 3])
                shares = R.nn.softmax(part, axis=3)
                R.output(shares)
            return shares

    assert_structural_equal(ConvertLayout()(Before), After)


def test_operands_of_lower_rank_keep_their_axis() -> None:
    """PyTorch broadcasts from the right: [4,1,1] is one value per channel, [6] one per column."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                picture = R.permute_dims(x, [0, 3, 1, 2])
                scaled = R.multiply(picture, R.const(PER_CHANNEL))
                shifted = R.add(scaled, R.const(PER_COLUMN))
                half = R.multiply(shifted, R.const(0.5, "float32"))
                out = R.permute_dims(half, [0, 2, 3, 1])
                R.output(out)
            return out

    per_channel = PER_CHANNEL.reshape(1, 1, 1, 4)
    per_column = PER_COLUMN.reshape(1, 1, 6, 1)

    @I.ir_module
    class After:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                scaled = R.multiply(x, R.const(per_channel))
                shifted = R.add(scaled, R.const(per_column))
                half = R.multiply(shifted, R.const(0.5, "float32"))
                R.output(half)
            return half

    assert_structural_equal(ConvertLayout()(Before), After)


def test_op_without_a_channels_last_form_sees_the_traced_layout() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 6, 6, 4), "float32")) -> R.Tensor((1, 8), "float32"):
            with R.dataflow():
                picture = R.permute_dims(x, [0, 3, 1, 2])
                flat = R.reshape(R.nn.relu(picture), (1, 144))
                vector = R.strided_slice(flat, [1], [0], [4])
                out = R.concat((vector, vector), axis=1)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def main(x: R.Tensor((1, 6, 6, 4), "float32")) -> R.Tensor((1, 8), "float32"):
            with R.dataflow():
                active = R.nn.relu(x)
                traced = R.permute_dims(active, [0, 3, 1, 2])
                flat = R.reshape(traced, (1, 144))
                vector = R.strided_slice(flat, [1], [0], [4])
                out = R.concat((vector, vector), axis=1)
                R.output(out)
            return out

    assert_structural_equal(ConvertLayout()(Before), After)


def test_results_keep_their_traced_layout() -> None:
    """A tuple of an NCHW picture and an NHWC one."""

    @I.ir_module
    class Before:
        @R.function
        def main(
            x: R.Tensor((1, 3, 4, 2), "float32"),
        ) -> R.Tuple(R.Tensor((1, 4, 3, 4), "float32"), R.Tensor((1, 3, 4, 4), "float32")):
            with R.dataflow():
                picture = R.permute_dims(x, [0, 3, 1, 2])
                conv = R.nn.conv2d(picture, R.const(POINTWISE))
                swapped = R.permute_dims(conv, [0, 2, 3, 1])
                out = (conv, swapped)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def main(
            x: R.Tensor((1, 3, 4, 2), "float32"),
        ) -> R.Tuple(R.Tensor((1, 4, 3, 4), "float32"), R.Tensor((1, 3, 4, 4), "float32")):
            with R.dataflow():
                conv = R.nn.conv2d(
                    x,
                    R.const(POINTWISE),
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                traced = R.permute_dims(conv, [0, 3, 1, 2])
                out = (traced, conv)
                R.output(out)
            return out

    assert_structural_equal(ConvertLayout()(Before), After)


def test_lookups_keep_the_layout_of_what_is_looked_up() -> None:
    numbers = np.arange(8, dtype="float32")

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "int64")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                picture = R.permute_dims(x, [0, 3, 1, 2])
                found = R.take(R.const(numbers), picture, axis=0, mode="wrap")
                out = R.permute_dims(found, [0, 2, 3, 1])
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "int64")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                found = R.take(R.const(numbers), x, axis=0, mode="wrap")
                R.output(found)
            return found

    assert_structural_equal(ConvertLayout()(Before), After)
