"""Loads of four words out of a buffer that becomes an image."""

from __future__ import annotations

import pytest
import tvm
from tvm.script import ir as I
from tvm.script import tirx as T

from compile.codegen.opencl.read_images import read_images


@I.ir_module
class Before:
    @T.prim_func(private=True, s_tir=True)
    def kernel(w_ptr: T.handle("int32", "global"), b_ptr: T.handle("int32", "global")):
        T.func_attr({"mqnet.images": ["w_ptr"]})
        w = T.decl_buffer((64,), "int32", data=w_ptr)
        b = T.decl_buffer((64,), "int32", data=b_ptr)
        with T.launch_thread("threadIdx.x", 8) as item:
            b[item] = b[item] + T.Shuffle(
                [T.call_pure_extern("int32x4", "mqnet_load_int_4", T.address_of(w[item * 4 + 8]))],
                [1],
            )
            b[0] = T.Shuffle(
                [T.call_pure_extern("int32x4", "mqnet_load_int_4", T.address_of(b[item * 4]))], [0]
            )


@I.ir_module
class After:
    @T.prim_func(private=True, s_tir=True)
    def kernel(w_ptr: T.handle("int32", "global.texture"), b_ptr: T.handle("int32", "global")):
        T.func_attr({"mqnet.images": ["w_ptr"]})
        T.evaluate(0)
        b = T.decl_buffer((64,), "int32", data=b_ptr)
        with T.launch_thread("threadIdx.x", 8) as item:
            b[item] = b[item] + T.Shuffle(
                [T.call_pure_extern("int32x4", "mqnet_pixel_4", w_ptr, item * 4 + 8)], [1]
            )
            b[0] = T.Shuffle(
                [T.call_pure_extern("int32x4", "mqnet_load_int_4", T.address_of(b[item * 4]))], [0]
            )


def test_loads() -> None:
    tvm.ir.assert_structural_equal(read_images(Before), After)


def test_no_images() -> None:
    plain = tvm.IRModule({"kernel": Before["kernel"].without_attr("mqnet.images")})
    assert read_images(plain)["kernel"].same_as(plain["kernel"])


@I.ir_module
class OneWord:
    @T.prim_func(private=True, s_tir=True)
    def kernel(w_ptr: T.handle("int32", "global"), b_ptr: T.handle("int32", "global")):
        T.func_attr({"mqnet.images": ["w_ptr"]})
        w = T.decl_buffer((64,), "int32", data=w_ptr)
        b = T.decl_buffer((64,), "int32", data=b_ptr)
        b[0] = w[3]


@I.ir_module
class TwoWords:
    @T.prim_func(private=True, s_tir=True)
    def kernel(w_ptr: T.handle("int32", "global"), b_ptr: T.handle("int32", "global")):
        T.func_attr({"mqnet.images": ["w_ptr"]})
        w = T.decl_buffer((64,), "int32", data=w_ptr)
        b = T.decl_buffer((64,), "int32", data=b_ptr)
        b[0] = T.Shuffle(
            [T.call_pure_extern("int32x2", "mqnet_load_int_2", T.address_of(w[2]))], [0]
        )


@pytest.mark.parametrize("mod", [OneWord, TwoWords])
def test_what_is_no_pixel(mod: tvm.IRModule) -> None:
    with pytest.raises(AssertionError, match="is no vector of an image"):
        read_images(mod)
