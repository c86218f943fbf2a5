"""PlanMemory: kernel calls in order, over memory that tensors share once they are dead."""

from __future__ import annotations

import itertools

import numpy as np
import tvm
from hypothesis import given
from hypothesis import strategies as st
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.passes.plan_memory import lower_to_vm, plan_memory
from compile.passes.plan_storage import Lifetime, assign_storages


@I.ir_module
class Chain:
    """Four calls in a row: each tensor dies with the next call."""

    @T.prim_func(private=True, s_tir=True)
    def double(x: T.Buffer((2, 8), "float32"), y: T.Buffer((2, 8), "float32")):
        for i, j in T.grid(2, 8):
            with T.sblock("double"):
                vi, vj = T.axis.remap("SS", [i, j])
                y[vi, vj] = x[vi, vj] * T.float32(2)

    @R.function
    def main(x: R.Tensor((2, 8), "float32")) -> R.Tensor((2, 8), "float32"):
        cls = Chain
        with R.dataflow():
            a = R.call_tir(cls.double, (x,), out_ty=R.Tensor((2, 8), "float32"))
            b = R.call_tir(cls.double, (a,), out_ty=R.Tensor((2, 8), "float32"))
            c = R.call_tir(cls.double, (b,), out_ty=R.Tensor((2, 8), "float32"))
            d = R.call_tir(cls.double, (c,), out_ty=R.Tensor((2, 8), "float32"))
            R.output(d)
        return d


def test_dead_storage_is_used_again() -> None:
    """Two storages for three intermediate tensors and the result."""

    @I.ir_module
    class After:
        @T.prim_func(private=True, s_tir=True)
        def double(x: T.Buffer((2, 8), "float32"), y: T.Buffer((2, 8), "float32")):
            for i, j in T.grid(2, 8):
                with T.sblock("double"):
                    vi, vj = T.axis.remap("SS", [i, j])
                    y[vi, vj] = x[vi, vj] * T.float32(2)

        @R.function
        def main(x: R.Tensor((2, 8), "float32")) -> R.Tensor((2, 8), "float32"):
            R.func_attr({"relax.force_pure": True})
            cls = After
            storage0 = R.memory.alloc_storage(
                R.shape([64]), R.prim_value(0), R.str("global"), R.dtype("uint8")
            )
            storage1 = R.memory.alloc_storage(
                R.shape([64]), R.prim_value(0), R.str("global"), R.dtype("uint8")
            )
            tensor0 = R.memory.alloc_tensor(
                storage0, R.prim_value(0), R.shape([2, 8]), R.dtype("float32")
            )
            cls.double(x, tensor0)
            a = tensor0
            tensor1 = R.memory.alloc_tensor(
                storage1, R.prim_value(0), R.shape([2, 8]), R.dtype("float32")
            )
            cls.double(a, tensor1)
            b = tensor1
            tensor2 = R.memory.alloc_tensor(
                storage0, R.prim_value(0), R.shape([2, 8]), R.dtype("float32")
            )
            cls.double(b, tensor2)
            c = tensor2
            result = R.memory.alloc_tensor(
                storage1, R.prim_value(0), R.shape([2, 8]), R.dtype("float32")
            )
            cls.double(c, result)
            d = result
            return d

    assert_structural_equal(plan_memory()(Chain), After)


@I.ir_module
class Parts:
    """Two parts, the second of another type."""

    @T.prim_func(private=True, s_tir=True)
    def double(x: T.Buffer((100,), "int8"), y: T.Buffer((100,), "int8")):
        for i in range(100):
            with T.sblock("double"):
                vi = T.axis.spatial(100, i)
                y[vi] = x[vi] * T.int8(2)

    @T.prim_func(private=True, s_tir=True)
    def widen(x: T.Buffer((100,), "int8"), y: T.Buffer((100,), "float32")):
        for i in range(100):
            with T.sblock("widen"):
                vi = T.axis.spatial(100, i)
                y[vi] = T.Cast("float32", x[vi])

    @T.prim_func(private=True, s_tir=True)
    def halve(x: T.Buffer((100,), "float32"), y: T.Buffer((100,), "float32")):
        for i in range(100):
            with T.sblock("halve"):
                vi = T.axis.spatial(100, i)
                y[vi] = x[vi] * T.float32(0.5)

    @R.function
    def backbone(x: R.Tensor((100,), "int8")) -> R.Tensor((100,), "int8"):
        cls = Parts
        with R.dataflow():
            a = R.call_tir(cls.double, (x,), out_ty=R.Tensor((100,), "int8"))
            b = R.call_tir(cls.double, (a,), out_ty=R.Tensor((100,), "int8"))
            R.output(b)
        return b

    @R.function
    def head(x: R.Tensor((100,), "int8")) -> R.Tensor((100,), "float32"):
        cls = Parts
        with R.dataflow():
            c = R.call_tir(cls.widen, (x,), out_ty=R.Tensor((100,), "float32"))
            d = R.call_tir(cls.halve, (c,), out_ty=R.Tensor((100,), "float32"))
            R.output(d)
        return d

    @R.function
    def main(x: R.Tensor((100,), "int8")) -> R.Tensor((100,), "float32"):
        cls = Parts
        with R.dataflow():
            out = cls.head(cls.backbone(x))
            R.output(out)
        return out


def test_parts_share_one_plan_and_stay_callable() -> None:
    """The float result lies where the first int8 tensor was; what crosses has another storage."""
    after = plan_memory()(Parts)
    (block,) = after["main"].body.blocks
    calls = [b.value for b in block.bindings if isinstance(b.value, relax.Call)]
    kernels = [call.op.name_hint for call in calls if isinstance(call.op, tvm.ir.GlobalVar)]
    assert kernels == ["double", "double", "widen", "halve"]
    storages = [
        call.args[0].name
        for call in calls
        if getattr(call.op, "name", "") == "relax.memory.alloc_tensor"
    ]
    assert storages == ["storage1", "storage2", "storage0", "storage1"]
    executable = relax.build(after, "llvm", relax_pipeline=lower_to_vm())
    machine = relax.VirtualMachine(executable, tvm.cpu())
    x = np.arange(-50, 50).astype("int8")
    middle = machine["backbone"](tvm.runtime.tensor(x))
    np.testing.assert_array_equal(middle.numpy(), (4 * x).astype("int8"))
    for result in (machine["head"](middle), machine["main"](tvm.runtime.tensor(x))):
        np.testing.assert_array_equal(result.numpy(), (4 * x).astype("int8") / 2)


lifetimes = st.builds(
    lambda size, first, length, kept: Lifetime(size, first, first + length, kept),
    st.integers(1, 500),
    st.integers(0, 20),
    st.integers(0, 8),
    st.booleans(),
)


@given(st.lists(lifetimes, max_size=25))
def test_tensors_that_live_together_have_other_storages(tensors: list[Lifetime]) -> None:
    storages = assign_storages(tensors)
    for (a, one), (b, other) in itertools.combinations(zip(tensors, storages, strict=True), 2):
        if one == other:
            first, second = sorted((a, b), key=lambda tensor: tensor.first)
            assert first.last < second.first and not first.kept
            assert not second.kept or 2 * first.size <= 3 * second.size
    assert set(storages) == set(range(len(set(storages))))


def test_plan_runs_without_a_further_allocation_pass() -> None:
    machine = relax.VirtualMachine(
        relax.build(plan_memory()(Chain), "llvm", relax_pipeline=lower_to_vm()), tvm.cpu()
    )
    x = np.arange(16, dtype="float32").reshape(2, 8)
    np.testing.assert_array_equal(machine["main"](tvm.runtime.tensor(x)).numpy(), 16 * x)


def test_reshape_of_a_kernel_result_costs_no_kernel() -> None:
    """A reshape between kernels is a view on the same storage."""

    @I.ir_module
    class Before:
        @T.prim_func(private=True, s_tir=True)
        def double(x: T.Buffer((2, 8), "float32"), y: T.Buffer((2, 8), "float32")):
            for i, j in T.grid(2, 8):
                with T.sblock("double"):
                    vi, vj = T.axis.remap("SS", [i, j])
                    y[vi, vj] = x[vi, vj] * T.float32(2)

        @T.prim_func(private=True, s_tir=True)
        def reshape(x: T.Buffer((2, 8), "float32"), y: T.Buffer((16,), "float32")):
            for i in range(16):
                with T.sblock("reshape"):
                    vi = T.axis.spatial(16, i)
                    y[vi] = x[vi // 8, vi % 8]

        @T.prim_func(private=True, s_tir=True)
        def shift(x: T.Buffer((16,), "float32"), y: T.Buffer((16,), "float32")):
            for i in range(16):
                with T.sblock("shift"):
                    vi = T.axis.spatial(16, i)
                    y[vi] = x[vi] + T.float32(1)

        @R.function
        def main(x: R.Tensor((2, 8), "float32")) -> R.Tensor((16,), "float32"):
            cls = Before
            with R.dataflow():
                a = R.call_tir(cls.double, (x,), out_ty=R.Tensor((2, 8), "float32"))
                b = R.call_tir(cls.reshape, (a,), out_ty=R.Tensor((16,), "float32"))
                c = R.call_tir(cls.shift, (b,), out_ty=R.Tensor((16,), "float32"))
                R.output(c)
            return c

    after = plan_memory()(Before)
    values = [b.value for block in after["main"].body.blocks for b in block.bindings]
    calls = [value.op for value in values if isinstance(value, relax.Call)]
    kernels = [op.name_hint for op in calls if isinstance(op, tvm.ir.GlobalVar)]
    operators = [op.name for op in calls if isinstance(op, tvm.ir.Op)]
    assert kernels == ["double", "shift"]
    assert operators.count("relax.memory.alloc_storage") == 2
    assert operators.count("relax.reshape") == 1
