"""LowerQuantizedOps on chains of functions of one tensor, which are one table, and on a maximum."""

from __future__ import annotations

import numpy as np
from backends import cpu_backend
from quantized_op_cases import expected_call, only_call
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.kernels.common.channel_maximum import create_channel_maximum
from compile.kernels.cpu.plain.elementwise import create_channel_table_lookup, create_table_lookup
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
