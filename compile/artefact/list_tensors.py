"""The tensors of a frame: which calls make and read each, and where the memory plan has it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import tvm
from tvm import relax, tirx

from compile.artefact.manifest import PlannedTensor
from compile.graph.parts import INPUT

#: Of no call and no storage: what the caller gives.
NONE = -1


def list_tensors(planned: tvm.IRModule, function: str = "main") -> list[PlannedTensor]:
    """List the tensors of ``function``, of a module from
    :func:`compile.passes.plan_memory.plan_memory`: its parameters, then the others in the order in
    which they are made. Constants are none."""
    return _Walk(planned).tensors_of(planned[function])


def join_parts(
    backbone: Sequence[PlannedTensor],
    head: Sequence[PlannedTensor],
    calls: int,
    arguments: Sequence[str | int],
) -> list[PlannedTensor]:
    """The tensors of a network on two devices, whose calls are the backbone's, a copy of each
    result that the head needs, and the head's.

    Args:
        backbone, head: of each part by itself.
        calls: of the backbone.
        arguments: of the head, see :class:`compile.artefact.manifest.SplitFacts`.
    """
    copies = {origin: calls + n for n, origin in enumerate(o for o in arguments if o != INPUT)}
    behind, storages = calls + len(copies), 1 + max(one.storage for one in backbone)
    results = [index for index, one in enumerate(backbone) if one.is_result]
    tensors = list(backbone)
    for origin, copy in copies.items():
        copied = _read_too(tensors[results[int(origin)]], [copy])
        tensors[results[int(origin)]] = msgspec.structs.replace(copied, is_result=False)
    parameters = iter(arguments)
    for one in head:
        readers = tuple(reader + behind for reader in one.readers)
        if one.call != NONE:
            places = {"call": one.call + behind, "storage": one.storage + storages}
            tensors.append(msgspec.structs.replace(one, readers=readers, **places))
        elif (origin := next(parameters)) == INPUT:
            tensors[0] = _read_too(tensors[0], readers)
        else:
            tensors.append(PlannedTensor(one.shape, one.dtype, copies[origin], readers, NONE))
    return tensors


def _read_too(tensor: PlannedTensor, readers: Sequence[int]) -> PlannedTensor:
    return msgspec.structs.replace(tensor, readers=(*tensor.readers, *readers))


class _Walk:
    """Follows the memory of tensors through the bindings of one function."""

    def __init__(self, planned: tvm.IRModule) -> None:
        self._planned = planned
        self._storages: dict[relax.Var, int] = {}
        # The tensors that a variable holds: of a tuple all, in order.
        self._holds: dict[relax.Expr, tuple[int, ...]] = {}
        self._facts: list[tuple[tuple[int, ...], str, int]] = []
        self._made: dict[int, int] = {}
        self._readers: dict[int, list[int]] = {}
        self._calls = 0

    def tensors_of(self, function: relax.Function) -> list[PlannedTensor]:
        for param in function.params:
            self._add(
                param, tuple(int(extent) for extent in param.ty.shape), param.ty.dtype.dtype, NONE
            )
            self._made[len(self._facts) - 1] = NONE
        for block in function.body.blocks:
            for binding in block.bindings:
                self._follow(binding.var, binding.value)
        results = set(self._held_by(function.body.body))
        return [
            PlannedTensor(
                *(shape, dtype, made, tuple(self._readers.get(index, ())), storage),
                is_result=made != NONE and index in results,
            )
            for index, made in self._made.items()
            for shape, dtype, storage in (self._facts[index],)
        ]

    def _follow(self, var: relax.Var, value: relax.Expr) -> None:
        if isinstance(value, relax.TupleGetItem):
            self._holds[var] = (self._holds[value.tuple_value][value.index],)
            return
        if not isinstance(value, relax.Call):
            self._holds[var] = self._held_by(value)
            return
        if isinstance(value.op, tvm.ir.GlobalVar):
            if isinstance(self._planned[value.op], tirx.PrimFunc):
                self._call(value)
            return
        name = value.op.name
        if name == "relax.memory.alloc_storage":
            self._storages[var] = len(self._storages)
        elif name == "relax.memory.alloc_tensor":
            storage = self._storages[value.args[0]]
            self._add(var, _extents(value.args[2]), value.args[3].value, storage)
        else:
            # A view of the same memory, as a reshape.
            self._holds[var] = tuple(i for arg in value.args for i in self._held_by(arg))

    def _call(self, call: relax.Call) -> None:
        for argument in call.args:
            for index in self._held_by(argument):
                if index not in self._made:
                    self._made[index] = self._calls
                else:
                    self._readers.setdefault(index, []).append(self._calls)
        self._calls += 1

    def _held_by(self, value: relax.Expr) -> tuple[int, ...]:
        if isinstance(value, relax.Tuple):
            return tuple(index for field in value.fields for index in self._held_by(field))
        return self._holds.get(value, ())

    def _add(self, var: relax.Var, shape: tuple[int, ...], dtype: object, storage: int) -> None:
        self._holds[var] = (len(self._facts),)
        self._facts.append((shape, str(dtype), storage))


def _extents(shape: relax.ShapeExpr) -> tuple[int, ...]:
    return tuple(int(extent) for extent in shape.values)
