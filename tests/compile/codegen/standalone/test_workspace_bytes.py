"""Scratch memory that is there before a frame."""

from __future__ import annotations

from tvm.script import tirx as T

from compile.codegen.standalone.workspace_bytes import workspace_bytes


@T.prim_func(s_tir=True)
def plain(a: T.Buffer((67,), "int16"), b: T.Buffer((67,), "int16")):
    half = T.sblock_alloc_buffer((67,), "int16")
    for i in range(67):
        with T.sblock("half"):
            x = T.axis.spatial(67, i)
            half[x] = a[x] + a[66 - x]
    for i in range(67):
        with T.sblock("result"):
            x = T.axis.spatial(67, i)
            b[x] = half[x] + half[66 - x]


@T.prim_func(s_tir=True)
def none(a: T.Buffer((67,), "int16"), b: T.Buffer((67,), "int16")):
    for i in range(67):
        with T.sblock("result"):
            x = T.axis.spatial(67, i)
            b[x] = a[x]


def test_a_buffer_and_what_stands_before_it() -> None:
    # 134 bytes are three lines of 64, and the runtime's own is the first of four.
    assert workspace_bytes({"plain": plain}) == 4 * 64


def test_kernels_without_buffers() -> None:
    assert workspace_bytes({"none": none}) == 0
    assert workspace_bytes({}) == 0
    assert workspace_bytes({"none": none, "plain": plain}) == 4 * 64
