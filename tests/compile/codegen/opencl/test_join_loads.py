"""Neighbouring elements in one load: the same elements, of vectors that begin at a multiple."""

from __future__ import annotations

import tvm
import tvm_ffi
from hypothesis import given
from hypothesis import strategies as st
from tir_indices import index_value
from tvm import tirx
from tvm.script import ir as I
from tvm.script import tirx as T

from compile.codegen.opencl.join_loads import join_loads


@I.ir_module
class Before:
    @T.prim_func(private=True, s_tir=True)
    def kernel(
        a_ptr: T.handle("int8", "global"),
        b_ptr: T.handle("float32", "global"),
        o_ptr: T.handle("float32", "global"),
    ):
        a = T.decl_buffer((256,), "int8", data=a_ptr)
        b = T.decl_buffer((256,), "float32", data=b_ptr)
        o = T.decl_buffer((256,), "float32", data=o_ptr)
        with T.launch_thread("threadIdx.x", 8) as item:
            near = T.alloc_local((4,), "float32")
            # 0 and 3 are of one vector; 5 is alone in the next.
            o[0] = b[item * 8] + b[item * 8 + 5] + b[item * 8 + 3]
            o[1] = T.Cast("float32", a[item * 16 - 1] + a[item * 16 - 6])
            o[2] = b[2] + b[1]
            # One element twice; odd places; a store of a neighbour; what is not in global memory.
            o[3] = b[item * 4 + 64] + b[item * 4 + 64]
            o[4] = b[item * 3] + b[item * 3 + 1]
            o[item * 4] = o[item * 4 + 1]
            o[5] = near[0] + near[1]
            # In a table, only the places are neighbours.
            o[6] = b[T.Cast("int32", a[item * 4]) + 4] + b[T.Cast("int32", a[item * 4 + 1]) + 4]


@I.ir_module
class After:
    @T.prim_func(private=True, s_tir=True)
    def kernel(
        a_ptr: T.handle("int8", "global"),
        b_ptr: T.handle("float32", "global"),
        o_ptr: T.handle("float32", "global"),
    ):
        a = T.decl_buffer((256,), "int8", data=a_ptr)
        b = T.decl_buffer((256,), "float32", data=b_ptr)
        o = T.decl_buffer((256,), "float32", data=o_ptr)
        with T.launch_thread("threadIdx.x", 8) as item:
            near = T.alloc_local((4,), "float32")
            o[0] = (
                T.Shuffle([b[T.Ramp(item * 8, 1, 4)]], [0])
                + b[item * 8 + 5]
                + T.Shuffle([b[T.Ramp(item * 8, 1, 4)]], [3])
            )
            o[1] = T.Cast(
                "float32",
                T.Shuffle([a[T.Ramp(item * 16 - 16, 1, 16)]], [15])
                + T.Shuffle([a[T.Ramp(item * 16 - 16, 1, 16)]], [10]),
            )
            o[2] = T.Shuffle([b[T.Ramp(0, 1, 4)]], [2]) + T.Shuffle([b[T.Ramp(0, 1, 4)]], [1])
            o[3] = b[item * 4 + 64] + b[item * 4 + 64]
            o[4] = b[item * 3] + b[item * 3 + 1]
            o[item * 4] = o[item * 4 + 1]
            o[5] = near[0] + near[1]
            o[6] = (
                b[T.Cast("int32", T.Shuffle([a[T.Ramp(item * 4, 1, 4)]], [0])) + 4]
                + b[T.Cast("int32", T.Shuffle([a[T.Ramp(item * 4, 1, 4)]], [1])) + 4]
            )


def test_loads() -> None:
    tvm.ir.assert_structural_equal(join_loads(Before), After)


def test_tvm_keeps_joined_loads() -> None:
    """So they might be joined earlier, were it not for the loads that LowerIntrin makes."""
    simplified = tirx.transform.StmtSimplify()(After)
    tvm.ir.assert_structural_equal(join_loads(simplified), simplified)


@given(
    st.sampled_from([1, 2, 3, 4, 6, 8, 16]),
    st.lists(st.integers(-40, 40), min_size=1, max_size=6),
    st.sampled_from(["int8", "float32"]),
    st.integers(0, 50),
)
def test_the_same_elements(scale: int, constants: list[int], dtype: str, item: int) -> None:
    """Of vectors that fit a load and begin at a multiple of their length."""
    pointer = tvm.ir.Var("a_ptr", tvm.ir.PointerType(tvm.ir.PrimType(dtype), "global"))
    place, buffer = tirx.Var("item", "int32"), tirx.decl_buffer((999,), dtype, "a")
    loads = [tirx.BufferLoad(buffer, [place * scale + constant]) for constant in constants]
    statements = [tirx.DeclBuffer(buffer, data=pointer), *map(tirx.Evaluate, loads)]
    function = tirx.PrimFunc([pointer, place], tirx.SeqStmt(statements))
    found = join_loads(tvm.IRModule({"kernel": function}))["kernel"]
    _, *evaluated = found.body
    item_is = {found.params[1]: item}
    for statement, constant in zip(evaluated, constants, strict=True):
        element = statement.value
        if isinstance(element, tirx.Shuffle):
            ramp = element.vectors[0].indices[0]
            start, lanes = index_value(ramp.base, item_is), int(ramp.lanes)
            assert start % lanes == 0
            assert lanes * tvm_ffi.dtype(dtype).itemsize <= 16
            assert start + int(element.indices[0]) == item * scale + constant
        else:
            assert index_value(element.indices[0], item_is) == item * scale + constant
