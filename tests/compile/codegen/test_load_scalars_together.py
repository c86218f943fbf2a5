"""Scalars out of vectors of four: before and after, what is left alone, and the assembly. That the
numbers are the same, the emulated boards' tests show, which run kernels of this kind."""

from __future__ import annotations

import pytest
import tvm
from tvm import tirx
from tvm.script import tirx as T

from compile.codegen.cpu_pipeline import CPU_PIPELINE
from compile.codegen.load_scalars_together import load_scalars_together

ARM = {"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72"}
X86 = {"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "x86-64-v3"}


@T.prim_func(private=True)
def before(x: T.Buffer((8,), "float32"), w: T.Buffer((6,), "float32"), q: T.Buffer((8,), "int32")):
    for i in range(2):
        # The second vector of four is not all there, and the last one's place is not known.
        x[T.Ramp(0, 1, 8)] = x[T.Ramp(0, 1, 8)] * T.Broadcast(w[3], 8)
        x[T.Ramp(0, 1, 8)] = x[T.Ramp(0, 1, 8)] * T.Broadcast(w[5], 8)
        x[T.Ramp(0, 1, 8)] = x[T.Ramp(0, 1, 8)] * T.Broadcast(w[i], 8)
        q[T.Ramp(0, 1, 8)] = q[T.Ramp(0, 1, 8)] * T.Broadcast(q[3], 8)


@T.prim_func(private=True)
def after(x: T.Buffer((8,), "float32"), w: T.Buffer((6,), "float32"), q: T.Buffer((8,), "int32")):
    for i in range(2):
        x[T.Ramp(0, 1, 8)] = x[T.Ramp(0, 1, 8)] * T.Broadcast(
            T.Shuffle([w[T.Ramp(0, 1, 4)]], [3]), 8
        )
        x[T.Ramp(0, 1, 8)] = x[T.Ramp(0, 1, 8)] * T.Broadcast(w[5], 8)
        x[T.Ramp(0, 1, 8)] = x[T.Ramp(0, 1, 8)] * T.Broadcast(w[i], 8)
        q[T.Ramp(0, 1, 8)] = q[T.Ramp(0, 1, 8)] * T.Broadcast(q[3], 8)


def rewritten(function: tirx.PrimFunc, target: dict) -> tirx.PrimFunc:
    of_target = function.with_attr("target", tvm.target.Target(target))
    changed = load_scalars_together(tvm.IRModule({"main": of_target}))["main"]
    return changed.without_attr("target")


@pytest.mark.parametrize(("target", "expected"), [(ARM, after), (X86, before)], ids=["arm", "x86"])
def test_before_and_after(target: dict, expected: tirx.PrimFunc) -> None:
    tvm.ir.assert_structural_equal(rewritten(before, target), expected)


def test_what_it_compiles_to() -> None:
    """Of 48 weights in a loop 12 loads, where more than 32 were."""

    @T.prim_func(s_tir=True)
    def main(x: T.Buffer((64, 6, 8)), w: T.Buffer((48,)), y: T.Buffer((64, 8, 8))):
        T.func_attr({"tirx.noalias": True})
        for i in range(64):
            for n in T.unroll(8):
                for j in T.vectorized(8):
                    y[i, n, j] = T.float32(0)
            for k in T.unroll(6):
                for n in T.unroll(8):
                    for j in T.vectorized(8):
                        y[i, n, j] = y[i, n, j] + x[i, k, j] * w[k * 8 + n]

    module = tvm.compile(main, target=ARM, tir_pipeline=CPU_PIPELINE).mod
    lines = module.inspect_source("s").split("\n")
    multiplied = [line.split() for line in lines if "\tfmla\t" in line]
    assert len(multiplied) == 96
    assert {words[-1].rpartition(".")[2] for words in multiplied} == {f"s[{n}]" for n in range(4)}
