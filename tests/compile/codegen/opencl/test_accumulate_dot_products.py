"""The accumulator goes into the call of a dot product."""

from __future__ import annotations

import pytest
import tvm
from tvm.script import ir as I
from tvm.script import tirx as T

from compile.codegen.opencl.accumulate_dot_products import accumulate_dot_products


@I.ir_module
class Before:
    @T.prim_func(private=True, s_tir=True)
    def kernel(x: T.Buffer((4,), "int32"), y: T.Buffer((4,), "int32")):
        total = T.alloc_local((1,), "int32")
        total[0] = total[0] + T.call_pure_extern("int32", "mqnet_dot4_1", x[0], y[0])
        total[0] = (
            x[1]
            + T.call_pure_extern("int32", "mqnet_dot4_1", x[2], y[2])
            + T.call_pure_extern("int32", "mqnet_dot4_1", x[3], y[3])
        )
        total[0] = total[0] + T.call_pure_extern("int32", "mqnet_word_1", x[0], y[0])


@I.ir_module
class After:
    @T.prim_func(private=True, s_tir=True)
    def kernel(x: T.Buffer((4,), "int32"), y: T.Buffer((4,), "int32")):
        total = T.alloc_local((1,), "int32")
        total[0] = T.call_pure_extern("int32", "mqnet_dot4_1", total[0], x[0], y[0])
        total[0] = T.call_pure_extern(
            "int32",
            "mqnet_dot4_1",
            T.call_pure_extern("int32", "mqnet_dot4_1", x[1], x[2], y[2]),
            x[3],
            y[3],
        )
        total[0] = total[0] + T.call_pure_extern("int32", "mqnet_word_1", x[0], y[0])


def test_sums() -> None:
    tvm.ir.assert_structural_equal(accumulate_dot_products(Before), After)


@I.ir_module
class Alone:
    @T.prim_func(private=True, s_tir=True)
    def kernel(x: T.Buffer((4,), "int32"), y: T.Buffer((4,), "int32")):
        x[0] = T.call_pure_extern("int32", "mqnet_dot4_1", x[1], y[1])


def test_a_dot_product_alone() -> None:
    with pytest.raises(AssertionError, match="added to nothing"):
        accumulate_dot_products(Alone)
