"""The figures of a planned module, counted by hand for a small one."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.artefact.describe_parts import describe_kernels, describe_parts
from compile.artefact.manifest import PartSummary
from compile.graph.schedule_attrs import BUILT_IN, RECORD, mark_scheduled
from compile.kernels.common.kernel_function import MACS_ATTR
from compile.passes.plan_memory import plan_memory

INT8_SCALE = np.ones((3, 5), "int8")
FLOAT_SCALE = np.ones((3, 5), "float32")


@I.ir_module
class Network:
    """A backbone of three calls of two kernels, a head of two, and the main that calls both."""

    @T.prim_func(private=True, s_tir=True)
    def scale(
        x: T.Buffer((3, 5), "int8"), w: T.Buffer((3, 5), "int8"), y: T.Buffer((3, 5), "int8")
    ):
        for i, j in T.grid(3, 5):
            with T.sblock("scale"):
                vi, vj = T.axis.remap("SS", [i, j])
                y[vi, vj] = x[vi, vj] * w[vi, vj]

    @T.prim_func(private=True, s_tir=True)
    def negate(x: T.Buffer((3, 5), "int8"), y: T.Buffer((3, 5), "int8")):
        for i, j in T.grid(3, 5):
            with T.sblock("negate"):
                vi, vj = T.axis.remap("SS", [i, j])
                y[vi, vj] = T.int8(0) - x[vi, vj]

    @T.prim_func(private=True, s_tir=True)
    def widen(
        x: T.Buffer((3, 5), "int8"), w: T.Buffer((3, 5), "float32"), y: T.Buffer((3, 5), "float32")
    ):
        for i, j in T.grid(3, 5):
            with T.sblock("widen"):
                vi, vj = T.axis.remap("SS", [i, j])
                y[vi, vj] = T.Cast("float32", x[vi, vj]) * w[vi, vj]

    @T.prim_func(private=True, s_tir=True)
    def double(x: T.Buffer((3, 5), "float32"), y: T.Buffer((3, 5), "float32")):
        for i, j in T.grid(3, 5):
            with T.sblock("double"):
                vi, vj = T.axis.remap("SS", [i, j])
                y[vi, vj] = x[vi, vj] * T.float32(2)

    @R.function
    def backbone(x: R.Tensor((3, 5), "int8")) -> R.Tensor((3, 5), "int8"):
        cls = Network
        with R.dataflow():
            a = R.call_tir(cls.scale, (x, R.const(INT8_SCALE)), out_ty=R.Tensor((3, 5), "int8"))
            b = R.call_tir(cls.negate, (a,), out_ty=R.Tensor((3, 5), "int8"))
            c = R.call_tir(cls.scale, (b, R.const(INT8_SCALE)), out_ty=R.Tensor((3, 5), "int8"))
            R.output(c)
        return c

    @R.function
    def head(x: R.Tensor((3, 5), "int8")) -> R.Tensor((3, 5), "float32"):
        cls = Network
        with R.dataflow():
            a = R.call_tir(cls.widen, (x, R.const(FLOAT_SCALE)), out_ty=R.Tensor((3, 5), "float32"))
            b = R.call_tir(cls.double, (a,), out_ty=R.Tensor((3, 5), "float32"))
            R.output(b)
        return b

    @R.function
    def main(x: R.Tensor((3, 5), "int8")) -> R.Tensor((3, 5), "float32"):
        cls = Network
        with R.dataflow():
            middle = cls.backbone(x)
            out = cls.head(middle)
            R.output(out)
        return out


@pytest.fixture
def planned() -> tvm.IRModule:
    """``scale`` and ``widen`` have a record; they multiply 15 and 30 times."""
    mod = Network.clone()
    origins = {"scale": RECORD, "negate": BUILT_IN, "widen": RECORD, "double": BUILT_IN}
    macs = {"scale": 15, "widen": 30}
    for name, origin in origins.items():
        kernel = mark_scheduled(mod[name], origin)
        if name in macs:
            kernel = kernel.with_attr(MACS_ATTR, macs[name])
        mod.update_func(mod.get_global_var(name), kernel)
    return plan_memory()(mod)


def test_parts_in_order_with_their_counts(planned: tvm.IRModule) -> None:
    """Two storages of 15 bytes, of which one is the result's, in float32 two of 60; a
    kernel's figures count once for each call."""
    backbone, head, whole = describe_parts(planned)
    assert backbone == PartSummary(
        name="backbone",
        ops=3,
        macs=2 * 15,
        weight_bytes=2 * 15,
        activation_bytes=2 * 15,
        kernels_with_record=1,
        kernels_without_record=1,
    )
    assert head == PartSummary(
        name="head",
        ops=2,
        macs=30,
        weight_bytes=15 * 4,
        activation_bytes=2 * 60,
        kernels_with_record=1,
        kernels_without_record=1,
    )
    # The backbone's tensors lie in the storages of the head's.
    assert whole == PartSummary(
        name="main",
        ops=5,
        macs=2 * 15 + 30,
        weight_bytes=2 * 15 + 15 * 4,
        activation_bytes=60 + 60,
        kernels_with_record=2,
        kernels_without_record=2,
    )


def test_kernels_by_name(planned: tvm.IRModule) -> None:
    kernels = describe_kernels(planned)
    assert [kernel.name for kernel in kernels] == ["double", "negate", "scale", "widen"]
    assert [(kernel.family, kernel.macs) for kernel in kernels] == [
        *(("", 0), ("", 0), ("", 15), ("", 30)),
    ]
    assert sorted(kernel.schedule for kernel in kernels) == [BUILT_IN] * 2 + [RECORD] * 2


@I.ir_module
class Whole:
    @T.prim_func(private=True, s_tir=True)
    def double(x: T.Buffer((3, 5), "float32"), y: T.Buffer((3, 5), "float32")):
        T.func_attr({"tirx.is_scheduled": True, "mqnet.schedule": "built-in"})
        for i, j in T.grid(3, 5):
            with T.sblock("double"):
                vi, vj = T.axis.remap("SS", [i, j])
                y[vi, vj] = x[vi, vj] * T.float32(2)

    @R.function
    def main(x: R.Tensor((3, 5), "float32")) -> R.Tensor((3, 5), "float32"):
        cls = Whole
        with R.dataflow():
            a = R.call_tir(cls.double, (x,), out_ty=R.Tensor((3, 5), "float32"))
            b = R.call_tir(cls.double, (a,), out_ty=R.Tensor((3, 5), "float32"))
            R.output(b)
        return b


def test_network_in_one_piece_is_main() -> None:
    assert describe_parts(plan_memory()(Whole)) == [
        PartSummary(
            name="main",
            ops=2,
            macs=0,
            weight_bytes=0,
            activation_bytes=2 * 60,
            kernels_with_record=0,
            kernels_without_record=1,
        )
    ]
