"""The frame that is read out of a planned module."""

from __future__ import annotations

import pytest
import tvm
from hypothesis import given
from hypothesis import strategies as st
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.codegen.standalone.read_plan import ALIGNMENT, assign_offsets, read_plan
from compile.passes.plan_memory import plan_memory
from compile.support.errors import GraphError

LIFETIMES = st.lists(
    st.tuples(st.integers(1, 1000), st.integers(0, 9), st.integers(0, 9)).map(
        lambda drawn: (drawn[0], min(drawn[1:]), max(drawn[1:]))
    ),
    max_size=12,
)


@given(LIFETIMES)
def test_tensors_that_live_at_once_do_not_overlap(lifetimes: list[tuple[int, int, int]]) -> None:
    offsets = assign_offsets(lifetimes)
    assert all(offset % ALIGNMENT == 0 for offset in offsets)
    for index, (size, first, last) in enumerate(lifetimes):
        for other in range(index):
            other_size, other_first, other_last = lifetimes[other]
            apart = last < other_first or other_last < first
            above = offsets[index] >= offsets[other] + other_size
            below = offsets[other] >= offsets[index] + size
            assert apart or above or below


def test_memory_is_used_again() -> None:
    """Three tensors in a row, each read by the next one: the third lies where the first did."""
    assert assign_offsets([(100, 0, 1), (50, 1, 2), (100, 2, 3)]) == [0, 128, 0]


@I.ir_module(s_tir=True)
class Chain:
    @T.prim_func(private=True, s_tir=True)
    def double(a: T.Buffer((7, 3), "int8"), b: T.Buffer((7, 3), "int8")):
        for i, j in T.grid(7, 3):
            with T.sblock("double"):
                y, x = T.axis.remap("SS", [i, j])
                b[y, x] = a[y, x] + a[y, x]

    @R.function
    def main(a: R.Tensor((7, 3), "int8")):
        cls = Chain
        with R.dataflow():
            b = R.call_tir(cls.double, (a,), R.Tensor((7, 3), "int8"))
            c = R.call_tir(cls.double, (b,), R.Tensor((7, 3), "int8"))
            d = R.call_tir(cls.double, (R.const([[1] * 3] * 7, "int8"),), R.Tensor((7, 3), "int8"))
            R.output(c, d)
        return (c, a, c, d)


def test_frame_of_a_chain() -> None:
    plan = read_plan(plan_memory()(Chain))
    places = [tensor.place for tensor in plan.tensors]
    assert [call.kernel for call in plan.calls] == ["double"] * 3
    assert [call.results for call in plan.calls] == [1, 1, 1]
    assert plan.weights == bytes([1]) * 21
    first, second, third = (call.arguments for call in plan.calls)
    assert [places[number] for number in first] == ["input", "arena"]
    assert [places[number] for number in second] == ["arena", "output"]
    assert [places[number] for number in third] == ["weights", "output"]
    assert first[1] == second[0]
    # What is no kernel's, or a result twice, is copied: the input, and the first output again.
    assert plan.copies == ((0, 1), (second[1], 2))
    assert [tensor.shape for tensor in plan.outputs] == [(7, 3)] * 4
    assert plan.arena_bytes == 21


def test_what_is_no_kernel_is_refused() -> None:
    planned = plan_memory()(Chain)
    with pytest.raises(GraphError, match=r"relax\.print|print"):
        read_plan(_with_print(planned))


def _with_print(planned: tvm.IRModule) -> tvm.IRModule:
    from tvm import relax

    main = planned["main"]
    (block,) = main.body.blocks
    call = relax.op.print("x")
    strange = relax.VarBinding(relax.Var("strange", relax.TupleType([])), call)
    body = relax.SeqExpr([relax.BindingBlock([strange, *block.bindings])], main.body.body)
    function = relax.Function(main.params, body, main.ret_ty, main.is_pure, main.attrs)
    planned = planned.clone()
    planned.update_func(planned.get_global_var("main"), function)
    return planned
