"""Indices taken apart: the same places, and what no loop changes in front of all loops."""

from __future__ import annotations

import tvm
import tvm_ffi
from hypothesis import given
from hypothesis import strategies as st
from tir_indices import index_value, indices
from tvm import tirx
from tvm.ir import Var
from tvm.script import ir as I
from tvm.script import tirx as T

from compile.codegen.opencl.hoist_addresses import hoist_addresses
from compile.codegen.opencl.step_addresses import ADDRESS
from compile.codegen.opencl.vector_access import called_name


@I.ir_module
class Before:
    @T.prim_func(private=True, s_tir=True)
    def kernel(
        a_ptr: T.handle("int8", "global"),
        w_ptr: T.handle("int32", "global"),
        i_ptr: T.handle("int32", "global.texture"),
        o_ptr: T.handle("int32", "global"),
    ):
        a = T.decl_buffer((9999,), "int8", data=a_ptr)
        w = T.decl_buffer((999,), "int32", data=w_ptr)
        o = T.decl_buffer((999,), "int32", data=o_ptr)
        with T.launch_thread("blockIdx.x", 4) as group:
            total = T.alloc_local((1,), "int32x4")
            item = T.launch_thread("threadIdx.x", 8)
            for k in range(3):
                total[0] = T.call_pure_extern(
                    "int32x4",
                    "f",
                    T.call_pure_extern(
                        "int8x16",
                        "mqnet_load_char_16",
                        T.address_of(a[group * 4096 + k * 16 + item * 64 + 720]),
                    ),
                    # Words are read at an index of bytes.
                    T.call_pure_extern(
                        "int32x4", "mqnet_load_int_4", T.address_of(w[item * 4 - 8 + k * 12])
                    ),
                    T.call_pure_extern("int32x4", "mqnet_pixel_4", i_ptr, item * 4 + k * 8),
                    # The same base as the first; a sum whose parts all change; no loop changes it.
                    T.call_pure_extern(
                        "int8x16",
                        "mqnet_load_char_16",
                        T.address_of(a[group * 4096 - k * 32 + item * 64]),
                    ),
                    T.call_pure_extern(
                        "int8x16", "mqnet_load_char_16", T.address_of(a[item * k * 16 + 16])
                    ),
                    T.call_pure_extern(
                        "int8x16", "mqnet_load_char_16", T.address_of(a[group * 16 + 32])
                    ),
                )
            T.call_extern(
                "void", "mqnet_store_int_4", T.address_of(o[group * 8 + item * 4]), total[0]
            )


@I.ir_module
class After:
    @T.prim_func(private=True, s_tir=True)
    def kernel(
        a_ptr: T.handle("int8", "global"),
        w_ptr: T.handle("int32", "global"),
        i_ptr: T.handle("int32", "global.texture"),
        o_ptr: T.handle("int32", "global"),
    ):
        _a = T.decl_buffer((9999,), "int8", data=a_ptr)
        _w = T.decl_buffer((999,), "int32", data=w_ptr)
        _o = T.decl_buffer((999,), "int32", data=o_ptr)
        with T.launch_thread("blockIdx.x", 4) as group:
            total = T.alloc_local((1,), "int32x4")
            item = T.launch_thread("threadIdx.x", 8)
            base_0: T.let[T.int32] = group * 4096 + item * 64
            base_1: T.let[T.int32] = item * 4 * 4
            base_2: T.let[T.int32] = item * 4
            for k in range(3):
                total[0] = T.call_pure_extern(
                    "int32x4",
                    "f",
                    T.call_pure_extern(
                        "int8x16",
                        "mqnet_load_char_16",
                        T.call_pure_extern("uint64", "mqnet_at", a_ptr, base_0 + k * 16, 720),
                    ),
                    T.call_pure_extern(
                        "int32x4",
                        "mqnet_load_int_4",
                        T.call_pure_extern("uint64", "mqnet_at", w_ptr, base_1 + k * 12 * 4, -32),
                    ),
                    T.call_pure_extern("int32x4", "mqnet_pixel_4", i_ptr, base_2 + k * 8),
                    T.call_pure_extern(
                        "int8x16",
                        "mqnet_load_char_16",
                        T.call_pure_extern("uint64", "mqnet_at", a_ptr, base_0 + (0 - k * 32), 0),
                    ),
                    T.call_pure_extern(
                        "int8x16",
                        "mqnet_load_char_16",
                        T.call_pure_extern("uint64", "mqnet_at", a_ptr, item * k * 16, 16),
                    ),
                    T.call_pure_extern(
                        "int8x16",
                        "mqnet_load_char_16",
                        T.call_pure_extern("uint64", "mqnet_at", a_ptr, group * 16, 32),
                    ),
                )
            T.call_extern(
                "void",
                "mqnet_store_int_4",
                T.call_pure_extern("uint64", "mqnet_at", o_ptr, (group * 8 + item * 4) * 4, 0),
                total[0],
            )


def test_addresses() -> None:
    tvm.ir.assert_structural_equal(hoist_addresses(Before), After)


def test_tvm_undoes_it() -> None:
    """Which is why it comes last: were this to fail, the pass might come earlier."""
    simplified = tirx.transform.StmtSimplify()(hoist_addresses(Before))
    assert "base_0 +" in hoist_addresses(Before).script()
    assert "base_0 +" not in simplified.script()


_ITEM, _GROUP, _LOOP, _OTHER = (tirx.Var(name, "int32") for name in ("item", "group", "k", "v"))


@given(
    index=indices([_ITEM, _GROUP, _LOOP, _OTHER]),
    dtype=st.sampled_from(["int8", "int32", "float32"]),
    numbers=st.tuples(*[st.integers(0, 50)] * 4),
)
def test_the_place_is_the_same(index: tirx.Expr, dtype: str, numbers: tuple[int, ...]) -> None:
    pointer = Var("a_ptr", tvm.ir.PointerType(tvm.ir.PrimType(dtype), "global"))
    buffer = tirx.decl_buffer((999,), dtype, "a")
    load = tirx.Evaluate(tirx.address_of(tirx.BufferLoad(buffer, [index])))
    body = tirx.SeqStmt([tirx.Bind(_OTHER, tirx.const(numbers[3], "int32")), load])
    body = tirx.For(_LOOP, 0, 51, tirx.ForKind.SERIAL, body)
    for variable, tag in ((_ITEM, "threadIdx.x"), (_GROUP, "blockIdx.x")):
        axis = tirx.IterVar(None, variable, tirx.IterVar.ThreadIndex, tag)
        body = tirx.AttrStmt(axis, "thread_extent", 51, body)
    body = tirx.SeqStmt([tirx.DeclBuffer(buffer, data=pointer), body])
    function = tirx.PrimFunc([pointer], body)
    found = hoist_addresses(tvm.IRModule({"kernel": function}))["kernel"]

    values: dict[Var, int] = {}
    places: list[int] = []
    names = dict(zip(("item", "group", "k", "v"), numbers, strict=True))

    def define(variable: Var) -> None:
        if variable.name in names:
            values[variable] = names[variable.name]

    def bind(node: tirx.Bind) -> None:
        if node.var.name.startswith("base_"):
            used: list[Var] = []
            tvm_ffi.structural_walk(node.value, (Var, used.append))
            assert {variable.name for variable in used} <= {"item", "group"}
            values[node.var] = index_value(node.value, values)

    def read(call: tvm.ir.Call) -> None:
        if called_name(call) == ADDRESS:
            *_, place, constant = call.args
            places.append(index_value(place, values) + int(constant))

    tvm_ffi.structural_walk(found.body, (Var, define))
    tvm_ffi.structural_walk(found.body, (tirx.Bind, bind), order="pre")
    tvm_ffi.structural_walk(found.body, (tvm.ir.Call, read))
    original = dict(zip((_ITEM, _GROUP, _LOOP, _OTHER), numbers, strict=True))
    size = tvm.ir.PrimType(dtype).dtype.itemsize
    assert places == [size * index_value(index, original)]
