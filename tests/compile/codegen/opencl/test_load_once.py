"""Vectors that are loaded again behind a store, loaded once."""

from __future__ import annotations

import tvm
from tvm.script import ir as I
from tvm.script import tirx as T

from compile.codegen.opencl.load_once import load_once


@I.ir_module
class Before:
    @T.prim_func(private=True, s_tir=True)
    def kernel(m_ptr: T.handle("int32", "global"), o_ptr: T.handle("int32", "global")):
        m = T.decl_buffer((99,), "int32", data=m_ptr)
        o = T.decl_buffer((99,), "int32", data=o_ptr)
        with T.launch_thread("blockIdx.x", 4) as group:
            for k in range(2):
                T.call_extern(
                    "void",
                    "f",
                    T.call_pure_extern("int32x4", "mqnet_load_int_4", T.address_of(m[k * 4])),
                    T.call_pure_extern("int32x4", "mqnet_load_int_4", T.address_of(m[k * 4])),
                )
            T.call_extern(
                "void",
                "mqnet_store_int_4",
                T.address_of(o[group * 8]),
                T.call_pure_extern("int32x4", "mqnet_load_int_4", T.address_of(m[group * 4])),
            )
            T.call_extern(
                "void",
                "mqnet_store_int_4",
                T.address_of(o[group * 8 + 4]),
                T.call_pure_extern("int32x4", "mqnet_load_int_4", T.address_of(m[group * 4])),
            )


@I.ir_module
class After:
    @T.prim_func(private=True, s_tir=True)
    def kernel(m_ptr: T.handle("int32", "global"), o_ptr: T.handle("int32", "global")):
        m = T.decl_buffer((99,), "int32", data=m_ptr)
        o = T.decl_buffer((99,), "int32", data=o_ptr)
        with T.launch_thread("blockIdx.x", 4) as group:
            for k in range(2):
                T.call_extern(
                    "void",
                    "f",
                    T.call_pure_extern("int32x4", "mqnet_load_int_4", T.address_of(m[k * 4])),
                    T.call_pure_extern("int32x4", "mqnet_load_int_4", T.address_of(m[k * 4])),
                )
            loaded_0: T.let[T.int32x4] = T.call_pure_extern(
                "int32x4", "mqnet_load_int_4", T.address_of(m[group * 4])
            )
            T.call_extern("void", "mqnet_store_int_4", T.address_of(o[group * 8]), loaded_0)
            T.call_extern("void", "mqnet_store_int_4", T.address_of(o[group * 8 + 4]), loaded_0)


def test_repeated_loads() -> None:
    tvm.ir.assert_structural_equal(load_once(Before), After)
