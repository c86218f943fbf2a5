"""The tensors of a planned module: who makes and reads each, and in which memory."""

from __future__ import annotations

import tvm
from fixtures_artefacts import ArtefactFactory
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.artefact.list_tensors import join_parts, list_tensors
from compile.artefact.manifest import PlannedTensor
from compile.passes.plan_memory import plan_memory


@I.ir_module
class Network:
    """x -> both halves of a pair -> their sum, seen in another shape, and x again."""

    @T.prim_func(private=True, s_tir=True)
    def pair(x: T.Buffer((3, 5), "int8"), y: T.Buffer((3, 5), "int8"), z: T.Buffer((3, 5), "int8")):
        for i, j in T.grid(3, 5):
            with T.sblock("pair"):
                vi, vj = T.axis.remap("SS", [i, j])
                y[vi, vj] = x[vi, vj]
                z[vi, vj] = T.int8(0) - x[vi, vj]

    @T.prim_func(private=True, s_tir=True)
    def add(a: T.Buffer((3, 5), "int8"), b: T.Buffer((3, 5), "int8"), y: T.Buffer((3, 5), "int8")):
        for i, j in T.grid(3, 5):
            with T.sblock("add"):
                vi, vj = T.axis.remap("SS", [i, j])
                y[vi, vj] = a[vi, vj] + b[vi, vj]

    @T.prim_func(private=True, s_tir=True)
    def widen(
        x: T.Buffer((15,), "int8"), w: T.Buffer((3, 5), "int8"), y: T.Buffer((15,), "float32")
    ):
        for i in range(15):
            with T.sblock("widen"):
                vi = T.axis.spatial(15, i)
                y[vi] = T.Cast("float32", x[vi] + w[0, 0])

    @R.function
    def main(x: R.Tensor((3, 5), "int8")) -> R.Tensor((15,), "float32"):
        cls = Network
        with R.dataflow():
            pair = R.call_tir(
                cls.pair, (x,), out_ty=[R.Tensor((3, 5), "int8"), R.Tensor((3, 5), "int8")]
            )
            first, second = pair[0], pair[1]
            total = R.call_tir(cls.add, (second, first), out_ty=R.Tensor((3, 5), "int8"))
            flat = R.reshape(total, R.shape([15]))
            wide = R.call_tir(cls.widen, (flat, x), out_ty=R.Tensor((15,), "float32"))
            R.output(wide)
        return wide


def test_who_makes_and_reads_what() -> None:
    planned = plan_memory()(tvm.IRModule(Network.functions))
    given, first, second, total, wide = list_tensors(planned)
    assert given == PlannedTensor((3, 5), "int8", -1, (0, 2))
    assert (first.call, first.readers, second.call, second.readers) == (0, (1,), 0, (1,))
    # Read as 15 numbers, in the same memory.
    assert (total.shape, total.call, total.readers) == ((3, 5), 1, (2,))
    assert (wide.shape, wide.dtype, wide.call, wide.readers) == ((15,), "float32", 2, ())
    assert [one.is_result for one in (given, first, second, total, wide)] == [False] * 4 + [True]
    # The result is larger than what is dead by then, which lies in its storage.
    assert wide.storage == 0 and len({first.storage, second.storage, total.storage}) == 3
    assert (wide.size, wide.life(4), first.life(4), given.life(4)) == (60, (2, 3), (0, 1), (0, 3))


def test_two_devices_are_joined_by_copies() -> None:
    """Two calls, a result that is copied, and one call that reads the copy and the input."""
    backbone = [
        PlannedTensor((4,), "int8", -1, (0,)),
        PlannedTensor((4,), "int8", 0, (1,), 0),
        PlannedTensor((8,), "int8", 1, (), 1, is_result=True),
    ]
    head = [
        PlannedTensor((8,), "int8", -1, (0,)),
        PlannedTensor((4,), "int8", -1, (0, 1)),
        PlannedTensor((8,), "float32", 0, (1,), 0),
        PlannedTensor((8,), "float32", 1, (), 1, is_result=True),
    ]
    assert join_parts(backbone, head, 2, (0, "input")) == [
        PlannedTensor((4,), "int8", -1, (0, 3, 4)),
        PlannedTensor((4,), "int8", 0, (1,), 0),
        PlannedTensor((8,), "int8", 1, (2,), 1),
        PlannedTensor((8,), "int8", 2, (3,)),
        PlannedTensor((8,), "float32", 3, (4,), 2),
        PlannedTensor((8,), "float32", 4, (), 3, is_result=True),
    ]


def test_a_build_says_what_its_plan_is(artefact: ArtefactFactory) -> None:
    """Its storages and result take what the build says, and no two tensors are in one at once."""
    manifest = artefact().manifest
    made = [one for one in manifest.tensors if one.call >= 0]
    calls = range(len(manifest.calls))
    assert {one.call for one in made} == set(calls)
    storages: dict[int, int] = {}
    for one in made:
        storages[one.storage] = max(storages.get(one.storage, 0), one.size)
    assert sum(storages.values()) == manifest.whole.activation_bytes
    for call in calls:
        alive = [one.storage for one in made if call in range(*_span(one, len(calls)))]
        assert len(alive) == len(set(alive))
    assert all(reader > one.call for one in manifest.tensors for reader in one.readers)


def _span(tensor: PlannedTensor, calls: int) -> tuple[int, int]:
    first, last = tensor.life(calls)
    return first, last + 1
