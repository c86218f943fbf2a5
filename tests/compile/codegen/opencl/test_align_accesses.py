"""Accesses by pointers to vectors, only where every index is a multiple of the vector."""

from __future__ import annotations

import tvm
from hypothesis import given
from hypothesis import strategies as st
from tir_indices import index_value, indices
from tvm import tirx
from tvm.script import ir as I
from tvm.script import tirx as T

from compile.codegen.opencl.align_accesses import align_accesses


@I.ir_module
class Before:
    @T.prim_func(private=True, s_tir=True)
    def kernel(
        a_ptr: T.handle("int8", "global"),
        b_ptr: T.handle("float32", "global"),
        o_ptr: T.handle("int8", "global"),
        p_ptr: T.handle("float32", "global"),
    ):
        a = T.decl_buffer((512,), "int8", data=a_ptr)
        b = T.decl_buffer((512,), "float32", data=b_ptr)
        o = T.decl_buffer((512,), "int8", data=o_ptr)
        p = T.decl_buffer((512,), "float32", data=p_ptr)
        with T.launch_thread("threadIdx.x", 8) as item:
            near = T.alloc_local((8,), "float32")
            o[T.Ramp(item * 32, 1, 16)] = a[T.Ramp(item * 32, 1, 16)]
            # Eight bytes too far for a vector of sixteen, but not for one of eight.
            o[T.Ramp(item * 16 + 8, 1, 16)] = a[T.Ramp(item * 16 + 8, 1, 16)]
            o[T.Ramp(item * 16 - 8, 1, 8)] = a[T.Ramp(item * 16 - 8, 1, 8)]
            # Clamped, as a pixel beyond the edge; a product that may be odd.
            p[T.Ramp(T.max(item - 1, 0) * 8, 1, 4)] = b[T.Ramp(T.truncdiv(item, 3) * 2, 1, 4)]
            # Three elements have no alignment of their own; every second is no vector.
            p[T.Ramp(item * 12, 1, 3)] = b[T.Ramp(item * 12, 2, 3)]
            # A value that holds another access; what is not in global memory.
            p[T.Ramp(2, 1, 4)] = b[T.Ramp(8, 1, 4)] * T.Broadcast(b[4], 4)
            near[T.Ramp(0, 1, 4)] = near[T.Ramp(4, 1, 4)]


@I.ir_module
class After:
    @T.prim_func(private=True, s_tir=True)
    def kernel(
        a_ptr: T.handle("int8", "global"),
        b_ptr: T.handle("float32", "global"),
        o_ptr: T.handle("int8", "global"),
        p_ptr: T.handle("float32", "global"),
    ):
        a = T.decl_buffer((512,), "int8", data=a_ptr)
        b = T.decl_buffer((512,), "float32", data=b_ptr)
        o = T.decl_buffer((512,), "int8", data=o_ptr)
        p = T.decl_buffer((512,), "float32", data=p_ptr)
        with T.launch_thread("threadIdx.x", 8) as item:
            near = T.alloc_local((8,), "float32")
            T.call_extern(
                "void",
                "mqnet_store_char_16",
                T.address_of(o[item * 32]),
                T.call_pure_extern("int8x16", "mqnet_load_char_16", T.address_of(a[item * 32])),
            )
            o[T.Ramp(item * 16 + 8, 1, 16)] = a[T.Ramp(item * 16 + 8, 1, 16)]
            T.call_extern(
                "void",
                "mqnet_store_char_8",
                T.address_of(o[item * 16 - 8]),
                T.call_pure_extern("int8x8", "mqnet_load_char_8", T.address_of(a[item * 16 - 8])),
            )
            T.call_extern(
                "void",
                "mqnet_store_float_4",
                T.address_of(p[T.max(item - 1, 0) * 8]),
                b[T.Ramp(T.truncdiv(item, 3) * 2, 1, 4)],
            )
            p[T.Ramp(item * 12, 1, 3)] = b[T.Ramp(item * 12, 2, 3)]
            p[T.Ramp(2, 1, 4)] = T.call_pure_extern(
                "float32x4", "mqnet_load_float_4", T.address_of(b[8])
            ) * T.Broadcast(b[4], 4)
            near[T.Ramp(0, 1, 4)] = near[T.Ramp(4, 1, 4)]


def test_accesses() -> None:
    tvm.ir.assert_structural_equal(align_accesses(Before), After)


_ITEM = tirx.Var("item", "int32")


@given(indices([_ITEM]), st.sampled_from([2, 4, 8, 16]), st.integers(0, 1000))
def test_what_becomes_a_pointer_is_aligned(index: tirx.Expr, lanes: int, item: int) -> None:
    pointer = tvm.ir.Var("b_ptr", tvm.ir.PointerType(tvm.ir.PrimType("float32"), "global"))
    buffer = tirx.decl_buffer((999,), "float32", "b")
    load = tirx.Evaluate(tirx.BufferLoad(buffer, [tirx.Ramp(index, 1, lanes)]))
    body = tirx.SeqStmt([tirx.DeclBuffer(buffer, data=pointer), load])
    function = tirx.PrimFunc([pointer, _ITEM], body)
    found = align_accesses(tvm.IRModule({"kernel": function}))["kernel"]
    value = found.body[1].value
    if isinstance(value, tvm.ir.TensorLoad):
        return
    assert value.args[0].value == f"mqnet_load_float_{lanes}"
    address = value.args[1].args[0].indices[0]
    assert index_value(address, {found.params[1]: item}) % lanes == 0
