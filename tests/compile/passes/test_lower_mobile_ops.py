"""LowerQuantizedOps for what mobile networks are made of: which kernel is called with what."""

from __future__ import annotations

import numpy as np
from backends import cpu_backend
from quantized_op_cases import expected_call, only_call
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.kernels.common.rearrangement import Cut, create_cut
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.average_pool import AveragedWindow, create_average_pool
from compile.kernels.cpu.plain.elementwise import create_table_lookup
from compile.kernels.cpu.plain.move import create_channel_shuffle
from compile.passes.lower_quantized_ops import LowerQuantizedOps


def test_average_pooling_divides_by_what_is_inside() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor((1, 2, 3, 4), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                mean = R.nn.avg_pool2d(
                    d, [2, 2], [1, 1], [1, 1, 0, 0], count_include_pad=False, layout="NHWC"
                )
                out = R.quantize(mean, R.const(0.25, "float32"), R.const(9, "int8"), axis=-1)
                R.output(out)
            return out

    pooling = AveragedWindow(Window((2, 2), (1, 1), (1, 1, 0, 0)), False)
    multiplier = np.array([2, 1, 2 / 3, 0.5], "float32")
    constants = multiplier, np.array([3, 9, -128, 127], "int32")
    kernel = create_average_pool((1, 2, 3, 4), pooling)
    expected = expected_call(kernel, "average_pool", [(1, 2, 3, 4)], constants, (1, 2, 3, 4))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_hard_swish_is_a_table() -> None:
    """Though two of its operations read the same tensor."""

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor((1, 2, 3, 4), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.125, "float32"), R.const(3, "int8"), axis=-1)
                shifted = R.add(d, R.const(3.0, "float32"))
                clipped = R.clip(shifted, 0, 6)
                product = R.multiply(d, clipped)
                swish = R.divide(product, R.const(6.0, "float32"))
                out = R.quantize(swish, R.const(0.0625, "float32"), R.const(-120, "int8"), axis=-1)
                R.output(out)
            return out

    x = (np.arange(-128, 128, dtype="float32") - 3) * np.float32(0.125)
    real = x * np.clip(x + np.float32(3), 0, 6) / np.float32(6)
    table = np.clip(np.rint(real / np.float32(0.0625)) - 120, -128, 127).astype("int8")
    kernel = create_table_lookup((1, 2, 3, 4), "int8")
    expected = expected_call(kernel, "table_lookup", [(1, 2, 3, 4)], (table,), (1, 2, 3, 4))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_slopes_of_channels_are_a_table_for_each() -> None:
    slopes = np.array([0.5, -1.0, 0.25, 2.0], "float32").reshape(1, 1, 1, 4)

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor((1, 2, 3, 4), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.125, "float32"), R.const(3, "int8"), axis=-1)
                below = R.minimum(d, R.const(0.0, "float32"))
                scaled = R.multiply(below, R.const(slopes))
                prelu = R.add(R.nn.relu(d), scaled)
                out = R.quantize(prelu, R.const(0.125, "float32"), R.const(9, "int8"), axis=-1)
                R.output(out)
            return out

    steps = np.arange(-128, 128) - 3
    real = np.where(steps < 0, steps * slopes.reshape(4, 1), steps)
    table = np.clip(np.rint(real) + 9, -128, 127).astype("int8")
    _, found = only_call(LowerQuantizedOps(cpu_backend())(Before)).args[1].fields
    np.testing.assert_array_equal(found.value.numpy(), table)


def test_a_function_of_two_tensors_is_no_table() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(a: R.Tensor((1, 2, 3, 4), "int8"), b: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor(
            (1, 2, 3, 4), "int8"
        ):
            with R.dataflow():
                x = R.dequantize(a, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                y = R.dequantize(b, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                both = R.multiply(R.exp(x), R.exp(y))
                out = R.quantize(both, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                R.output(out)
            return out

    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), Before)


def test_channel_shuffle_moves_bytes() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 7, 6), "int8")) -> R.Tensor((1, 5, 7, 6), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                planes = R.permute_dims(d, [0, 3, 1, 2])
                blocks = R.reshape(planes, (1, 2, 3, 5, 7))
                exchanged = R.permute_dims(blocks, [0, 2, 1, 3, 4])
                joined = R.reshape(exchanged, (1, 6, 5, 7))
                pixels = R.permute_dims(joined, [0, 2, 3, 1])
                out = R.quantize(pixels, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                R.output(out)
            return out

    kernel = create_channel_shuffle((1, 5, 7, 6), 2, "int8")
    expected = expected_call(kernel, "rearrangement", [(1, 5, 7, 6)], (), (1, 5, 7, 6))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_slices_move_bytes() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 5, 7, 6), "int8")) -> R.Tensor((1, 3, 7, 2), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                part = R.strided_slice(d, [3, 1], [-2, 0], [9223372036854775807, 5], [1, 2])
                out = R.quantize(part, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                R.output(out)
            return out

    cut = Cut((0, 0, 0, 4), (1, 2, 1, 1), (1, 3, 7, 2))
    kernel = create_cut("elementwise", (1, 5, 7, 6), cut, "int8")
    expected = expected_call(kernel, "slice", [(1, 5, 7, 6)], (), (1, 3, 7, 2))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)
