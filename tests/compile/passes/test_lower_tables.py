"""LowerQuantizedOps on chains of functions of one tensor, which are one table, and on a maximum and
a mean of channels, and a sum with a factor."""

from __future__ import annotations

import numpy as np
import pytest
from backends import cpu_backend
from quantized_op_cases import expected_call, only_call
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.kernels.common.channel_maximum import create_channel_maximum
from compile.kernels.common.channel_mean import create_channel_mean
from compile.kernels.cpu.plain.elementwise import (
    create_add,
    create_channel_table_lookup,
    create_table_lookup,
)
from compile.kernels.cpu.plain.mean import create_mean
from compile.passes.lower_quantized_ops import LowerQuantizedOps


def test_logarithm_of_a_square() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor((1, 2, 3, 4), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(-128, "int8"), axis=-1)
                square = R.multiply(d, d)
                light = R.add(square, R.const(0.25, "float32"))
                log = R.log(light)
                out = R.quantize(log, R.const(0.0625, "float32"), R.const(-60, "int8"), axis=-1)
                R.output(out)
            return out

    real = (np.arange(256) * 0.5) ** 2 + 0.25
    table = np.clip(np.rint(np.log(real) / 0.0625) - 60, -128, 127).astype("int8")
    kernel = create_table_lookup((1, 2, 3, 4), "int8")
    expected = expected_call(kernel, "table_lookup", [(1, 2, 3, 4)], (table,), (1, 2, 3, 4))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_photograph_with_a_number_for_each_channel_is_a_table_for_each() -> None:
    mean, factor = np.array([8.0, 16.0, 32.0], "float32"), np.array([0.5, 1.0, 2.0], "float32")
    by_channel = mean.reshape(1, 1, 1, 3), factor.reshape(1, 1, 1, 3)

    @I.ir_module
    class Before:
        @R.function
        def main(image: R.Tensor((1, 5, 7, 3), "uint8")) -> R.Tensor((1, 5, 7, 3), "int8"):
            with R.dataflow():
                x = R.astype(image, "float32")
                centred = R.subtract(x, R.const(by_channel[0]))
                scaled = R.multiply(centred, R.const(by_channel[1]))
                out = R.quantize(scaled, R.const(0.25, "float32"), R.const(-20, "int8"), axis=-1)
                R.output(out)
            return out

    real = (np.arange(256) - mean[:, None]) * factor[:, None]
    table = np.clip(np.rint(real / 0.25) - 20, -128, 127).astype("int8")
    after = LowerQuantizedOps(cpu_backend())(Before)
    call = only_call(after)
    kernel = after[call.args[0]]
    assert_structural_equal(kernel, create_channel_table_lookup((1, 5, 7, 3), "uint8"))
    data, found = call.args[1].fields
    assert isinstance(data, relax.Var)
    np.testing.assert_array_equal(found.value.numpy(), table)


def test_lookups_of_known_numbers_are_tables() -> None:
    numbers = np.random.default_rng(0).integers(-128, 128, 512).astype("float32")
    first = np.array([0.0, 256.0], "float32").reshape(1, 1, 1, 2)

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 3, 4, 2), "int8")) -> R.Tensor((1, 3, 4, 2), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(1.0, "float32"), R.const(-128, "int8"), axis=-1)
                place = R.astype(R.add(d, R.const(first)), "int64")
                found = R.take(R.const(numbers), place, axis=0, mode="wrap")
                out = R.quantize(found, R.const(1.0, "float32"), R.const(0, "int8"), axis=-1)
                R.output(out)
            return out

    call = only_call(LowerQuantizedOps(cpu_backend())(Before))
    _, table = call.args[1].fields
    np.testing.assert_array_equal(table.value.numpy(), numbers.reshape(2, 256))


def test_numbers_that_are_selected_are_no_function_of_each() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((4, 4), "int8")) -> R.Tensor((4,), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(1.0, "float32"), R.const(0, "int8"), axis=-1)
                row = R.take(d, R.const(1, "int64"), axis=0)
                out = R.quantize(row, R.const(1.0, "float32"), R.const(0, "int8"), axis=-1)
                R.output(out)
            return out

    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), Before)


def test_channel_maximum_compares_bytes() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor((1, 2, 3, 1), "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                largest = R.max(d, axis=[3], keepdims=True)
                out = R.quantize(largest, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                R.output(out)
            return out

    kernel = create_channel_maximum("elementwise", (1, 2, 3, 4), "int8")
    expected = expected_call(kernel, "channel_maximum", [(1, 2, 3, 4)], (), (1, 2, 3, 1))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


@pytest.mark.parametrize("over_channels", [True, False])
def test_means_of_channels_and_of_pixels(over_channels: bool) -> None:
    axes = [3] if over_channels else [1, 2]
    result = (1, 2, 3, 1) if over_channels else (1, 1, 1, 4)

    @I.ir_module
    class Before:
        @R.function
        def main(q: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor(result, "int8"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                mean = R.mean(d, axis=axes, keepdims=True)
                out = R.quantize(mean, R.const(0.25, "float32"), R.const(9, "int8"), axis=-1)
                R.output(out)
            return out

    count = 4 if over_channels else 6
    constants = (np.array([2 / count], "float32"), np.array([3, 9, -128, 127], "int32"))
    kernel, name = create_mean((1, 2, 3, 4)), "mean"
    if over_channels:
        kernel, name = create_channel_mean("elementwise", (1, 2, 3, 4), "int8"), "channel_mean"
    expected = expected_call(kernel, name, [(1, 2, 3, 4)], constants, result)
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)


def test_number_times_what_is_added_is_in_the_sum() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(a: R.Tensor((1, 2, 3, 4), "int8"), b: R.Tensor((1, 2, 3, 4), "int8")) -> R.Tensor(
            (1, 2, 3, 4), "int8"
        ):
            with R.dataflow():
                left = R.dequantize(a, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                right = R.dequantize(b, R.const(0.125, "float32"), R.const(-7, "int8"), axis=-1)
                more = R.multiply(right, R.const(1.75, "float32"))
                total = R.add(left, more)
                out = R.quantize(total, R.const(0.25, "float32"), R.const(-100, "int8"), axis=-1)
                R.output(out)
            return out

    multiplier = np.array([0.5 / 0.25, 1.75 * 0.125 / 0.25], "float32")
    constants = (multiplier, np.array([3, -100, -128, 127, -7], "int32"))
    kernel = create_add((1, 2, 3, 4), (1, 2, 3, 4))
    expected = expected_call(kernel, "add", [(1, 2, 3, 4)] * 2, constants, (1, 2, 3, 4))
    assert_structural_equal(LowerQuantizedOps(cpu_backend())(Before), expected)
