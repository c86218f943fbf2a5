"""Let tensors that are never needed at the same time share storage, whatever their types and sizes.

TVM's own planner hands storage on between tensors of one type only, so the float head could use
nothing of what the int8 backbone leaves. A result lies in such a storage, too, which lives on until
the caller lets go of the result. (One block of memory with an offset for each tensor would
be denser still, but TVM's kernels refuse a tensor that does not start where its storage does.)
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import tvm
from tvm import relax

from compile.graph.constants import variables_of
from compile.graph.quantized_graph import op_name


@tvm.transform.module_pass(opt_level=0, name="PlanStorage")
class PlanStorage:
    """Replace the allocations of every Relax function by tensors in shared storages. Runs behind
    ``CallTIRRewrite``; shapes are static."""

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        mod = mod.clone()
        for name, function in mod.functions_items():
            if isinstance(function, relax.Function):
                mod.update_func(name, _plan(function))
        return mod


# A result keeps its storage, whole, for as long as the caller keeps the result: no larger one than
# so many times its size.
_MOST_KEPT = 1.5


@dataclass(frozen=True)
class Lifetime:
    """A tensor in memory from the binding ``first`` to the binding ``last``, both included; a
    result, which is ``kept``, outlives them all."""

    size: int
    first: int
    last: int
    kept: bool = False

    def meets(self, other: Lifetime) -> bool:
        """Whether there is a binding at which both are in memory."""
        return (self.kept or other.first <= self.last) and (other.kept or self.first <= other.last)


def assign_storages(lifetimes: list[Lifetime]) -> list[int]:
    """The number of a storage for each tensor, in the order of ``lifetimes``.

    "Greedy by size" for shared objects: the largest tensor first, each in the smallest storage
    that is free all its life, or a new one (Pisarchyk and Lee, "Efficient Memory Management for
    Deep Neural Net Inference", 2020, section 4.3). No storage is larger than its first tensor,
    nor more than half as large again as a result in it.
    """
    storages: list[list[Lifetime]] = []
    chosen = [0] * len(lifetimes)
    for index in sorted(range(len(lifetimes)), key=lambda i: -lifetimes[i].size):
        tensor = lifetimes[index]
        free = [
            number
            for number, tenants in enumerate(storages)
            if not any(tensor.meets(tenant) for tenant in tenants)
            and not (tensor.kept and tenants[0].size > _MOST_KEPT * tensor.size)
        ]
        if not free:
            storages.append([])
        # They have come in the order of their sizes.
        chosen[index] = free[-1] if free else len(storages) - 1
        storages[chosen[index]].append(tensor)
    return chosen


def _plan(function: relax.Function) -> relax.Function:
    (block,) = function.body.blocks
    bindings = list(block.bindings)
    allocations = _allocations(bindings, function.body.body)
    sizes = [_bytes(bindings[position].value) for position in allocations]
    chosen = assign_storages(
        [
            Lifetime(size, first, last, kept)
            for size, (first, (last, kept)) in zip(sizes, allocations.items(), strict=True)
        ]
    )
    builder = relax.BlockBuilder()
    made: dict[int, relax.VarBinding] = {}
    for number in sorted(set(chosen)):
        size = max(size for size, own in zip(sizes, chosen, strict=True) if own == number)
        storage = relax.op.memory.alloc_storage(relax.ShapeExpr([size]), 0, "global", "uint8")
        storage = builder.normalize(storage)
        made[number] = relax.VarBinding(relax.Var(f"storage{number}", storage.ty), storage)
    for position, number in zip(allocations, chosen, strict=True):
        var, call = bindings[position].var, bindings[position].value
        shape, dtype = call.args[0], call.args[1]
        tensor = relax.op.memory.alloc_tensor(made[number].var, 0, shape, dtype.value)
        bindings[position] = relax.VarBinding(var, builder.normalize(tensor))
    body = relax.SeqExpr([relax.BindingBlock([*made.values(), *bindings])], function.body.body)
    body = builder.normalize(body)
    return relax.Function(function.params, body, function.ret_ty, function.is_pure, function.attrs)


def _allocations(
    bindings: list[relax.VarBinding], result: relax.Expr
) -> dict[int, tuple[int, bool]]:
    """Position of every allocation -> position of its last use, and whether the function returns
    it.

    A variable bound to another one, to a tuple or a view of it holds the same memory.
    """
    holds: dict[relax.Var, set[int]] = {}
    last: dict[int, int] = {}
    for position, binding in enumerate(bindings):
        memory = {m for var in variables_of(binding.value) for m in holds.get(var, ())}
        last.update(dict.fromkeys(memory, position))
        if op_name(binding.value) == "builtin.alloc_tensor":
            holds[binding.var] = {position}
            last[position] = position
        elif not _is_kernel_call(binding.value):
            holds[binding.var] = memory
    returned = {m for var in variables_of(result) for m in holds.get(var, ())}
    return {position: (end, position in returned) for position, end in last.items()}


def _is_kernel_call(value: relax.Expr) -> bool:
    return isinstance(value, relax.Call) and isinstance(value.op, tvm.ir.GlobalVar)


def _bytes(call: relax.Call) -> int:
    shape = (int(extent) for extent in call.args[0].values)
    return prod(shape) * tvm.DataType(call.args[1].value).itemsize
