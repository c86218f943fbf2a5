"""LowerQuantizedOps for what mobile networks are made of: which kernel is called with what."""

from __future__ import annotations

import numpy as np
from backends import cpu_backend
from quantized_op_cases import expected_call
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.average_pool import AveragedWindow, create_average_pool
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
