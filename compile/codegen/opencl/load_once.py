"""Vectors that a kernel loads again behind a store, loaded once.

A work item's epilogue reads a channel's multiplier for every column of its tile, with a store
between. No store of a kernel writes what it reads, and its parameters say so (`restrict`), but
Mesa's compiler does not look, and loads again what a store might have changed.
"""

from __future__ import annotations

from collections import Counter

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import Call, Op, Var

from compile.codegen.opencl.vector_access import called_name

_CALL_EXTERN = Op.get("tirx.call_extern")


@tirx.transform.prim_func_pass(opt_level=0, name="LoadOnce")
def load_once(
    function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext
) -> tirx.PrimFunc:
    """Give a name to the vectors that the statements of a device function load more than once,
    where a store to memory is among the statements."""
    return function.with_body(tvm_ffi.structural_map(function.body, (tirx.SeqStmt, _name_repeated)))


def _name_repeated(sequence: tirx.SeqStmt) -> tirx.Stmt:
    statements = list(sequence.seq)
    if not any(map(_stores, statements)):
        return sequence
    bound: set[Var] = set()
    times: Counter[tvm_ffi.StructuralKey] = Counter()

    def find(call: Call) -> None:
        if _is_load(call) and not _uses(call, bound):
            times[_key(call)] += 1

    for statement in statements:
        tvm_ffi.structural_walk(statement, (tirx.Bind, lambda bind: bound.add(bind.var)))
        tvm_ffi.structural_walk(statement, (tirx.For, lambda loop: bound.add(loop.loop_var)))
    for statement in statements:
        tvm_ffi.structural_walk(statement, (Call, find))
    repeated = [load for load, count in times.items() if count > 1]
    names = {load: Var(f"loaded_{n}", load.key.ty) for n, load in enumerate(repeated)}
    body: list[tirx.Stmt] = []
    declared: set[tvm_ffi.StructuralKey] = set()

    def name(call: Call) -> tvm.ir.Expr:
        key = _key(call)
        if key not in names:
            return call
        if key not in declared:
            declared.add(key)
            body.append(tirx.Bind(names[key], call))
        return names[key]

    for statement in statements:
        named = tvm_ffi.structural_map(statement, (Call, name))
        body.append(named)
    return tirx.SeqStmt(body)


def _key(call: Call) -> tvm_ffi.StructuralKey:
    # Its stub asks for the hash as well.
    return tvm_ffi.StructuralKey(call)  # type: ignore[call-arg]


def _stores(statement: tirx.Stmt) -> bool:
    if not isinstance(statement, tirx.Evaluate) or not isinstance(statement.value, Call):
        return False
    call = statement.value
    return call.op == _CALL_EXTERN and str(call.args[0].value).startswith("mqnet_store_")


def _is_load(call: Call) -> bool:
    return (called_name(call) or "").startswith("mqnet_load_")


def _uses(call: Call, variables: set[Var]) -> bool:
    found: list[Var] = []
    tvm_ffi.structural_walk(call, (Var, found.append))
    return not variables.isdisjoint(found)
