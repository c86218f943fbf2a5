"""Operators on packed int8x4, which is what a GPU's dot product (dp4a) takes.

``mqnet.word(a, b, c, d)`` is the int32 whose bytes are four int8, the first in the low byte; where
they are neighbours in memory, it becomes one load. ``mqnet.dot4(x, y)`` is the int32 sum of the
four products of the bytes of two of them. ``mqnet.choose(c, a, b)`` is a where c, else b, and
computes both: a load whose place is always in memory needs no branch around it, and the device's
compiler keeps loads in flight only where there is none. In TIR each is one call; TVM's LowerIntrin
puts what the target has in its place: for OpenCL a call of a function that
:mod:`compile.codegen.opencl.called_functions` writes into the source, else plain arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import tvm
from tvm import tirx
from tvm.ir import Op, register_op_attr
from tvm_ffi import structural_equal

PACK, DP4A, CHOOSE = "mqnet.word", "mqnet.dot4", "mqnet.choose"

#: Of a packed int8x4.
BYTES = 4

# TVM's CallEffectKind: kPure.
_PURE = 1

for _name in (PACK, DP4A, CHOOSE):
    register_op_attr(_name, "TVectorizable", True)
    register_op_attr(_name, "TCallEffectKind", _PURE)
    register_op_attr(_name, "TScriptPrinterName", _name)


def packed_int8x4(members: Sequence[tirx.Expr]) -> tirx.Expr:
    """A call of the operator on four int8 ``members``."""
    assert len(members) == BYTES
    return tvm.ir.Call(Op.get(PACK), list(members), ret_ty="int32")


def dp4a(data: tirx.Expr, weight: tirx.Expr) -> tirx.Expr:
    """A call of the operator on two packed int8x4."""
    return tvm.ir.Call(Op.get(DP4A), [data, weight], ret_ty="int32")


def choose(condition: tirx.Expr, value: tirx.Expr, otherwise: tirx.Expr) -> tirx.Expr:
    """A call of the operator; ``value`` and ``otherwise`` are of one type."""
    return tvm.ir.Call(Op.get(CHOOSE), [condition, value, otherwise], ret_ty=value.ty)


def _lower_packing(
    put_together: Callable[[list[tirx.Expr]], tirx.Expr], call: tvm.ir.Call
) -> tirx.Expr:
    """One load where the members are neighbours, also those of one and the same choice; what is
    nowhere in memory is ``put_together``."""
    members = list(call.args)
    loaded = _load(members)
    if loaded is not None:
        return loaded
    choices = [choice for choice in map(_choice, members) if choice is not None]
    if len(choices) == len(members) and all(
        structural_equal(choice[0], choices[0][0]) for choice in choices
    ):
        loaded = _load([value for _, value, _ in choices])
        if loaded is not None:
            return choose(choices[0][0], loaded, put_together([other for *_, other in choices]))
    return put_together(members)


def _called(members: list[tirx.Expr]) -> tirx.Expr:
    lanes = max(member.ty.dtype.lanes for member in members)
    wide = [_broadcast(member, lanes) for member in members]
    dtype = "int32" if lanes == 1 else f"int32x{lanes}"
    return tirx.call_pure_extern(dtype, f"mqnet_word_{lanes}", *wide)


def _broadcast(value: tirx.Expr, lanes: int) -> tirx.Expr:
    return value if value.ty.dtype.lanes == lanes else tirx.Broadcast(value, lanes)


def _shifted(members: list[tirx.Expr]) -> tirx.Expr:
    result = None
    for place, member in enumerate(members):
        lanes = member.ty.dtype.lanes
        bits = member.astype("int32" if lanes == 1 else f"int32x{lanes}")
        if place < BYTES - 1:
            bits = bits & tirx.const(255, bits.ty)
        bits = bits << tirx.const(8 * place, bits.ty)
        result = bits if result is None else result | bits
    return result


def _load(members: list[tirx.Expr]) -> tirx.Expr | None:
    """The members as one vector load, where they are neighbours in memory and begin at a
    multiple of four bytes: elsewhere TVM makes a vector of bytes from loads of its own, and a wrong
    one for OpenCL.

    Where their place in 16 or 8 bytes of memory is known, they are taken out of a load of all of
    these: their neighbours are too, and the device's compiler makes one load of equal ones.
    """
    if not all(isinstance(member, tvm.ir.TensorLoad) for member in members):
        return None
    buffer, indices = members[0].source, members[0].indices
    analyzer = tvm.sym.Analyzer()
    for place, member in enumerate(members):
        if not member.source.same_as(buffer) or len(member.indices) != 1:
            return None
        if member.ty.dtype.lanes > 1:
            return None
        if not analyzer.can_prove_equal(member.indices[0], indices[0] + place):
            return None
    for count in (4, 2):
        for place in range(count):
            start = analyzer.simplify(indices[0] - place * BYTES)
            if analyzer.can_prove_equal(tirx.floormod(start, count * BYTES), 0):
                vector = tirx.BufferLoad(buffer, [tirx.Ramp(start, 1, count * BYTES)])
                packed = tirx.reinterpret(f"int32x{count}", vector)
                return tirx.Shuffle([packed], [place])
    if not analyzer.can_prove_equal(tirx.floormod(indices[0], BYTES), 0):
        return None
    vector = tirx.BufferLoad(buffer, [tirx.Ramp(indices[0], 1, BYTES)])
    return tirx.reinterpret("int32", vector)


def _choice(value: tirx.Expr) -> tuple[tirx.Expr, tirx.Expr, tirx.Expr] | None:
    if isinstance(value, tvm.ir.Call) and value.op == Op.get(CHOOSE):
        return tuple(value.args)
    return None


def _lower_dp4a(call: tvm.ir.Call) -> tirx.Expr:
    lanes = call.args[0].ty.dtype.lanes
    return tirx.call_pure_extern(call.ty, f"mqnet_dot4_{lanes}", *call.args)


def _multiply(call: tvm.ir.Call) -> tirx.Expr:
    data, weight = call.args
    total = None
    for place in range(BYTES):
        left = tirx.const(8 * (BYTES - 1 - place), data.ty)
        right = tirx.const(8 * (BYTES - 1), data.ty)
        product = ((data << left) >> right) * ((weight << left) >> right)
        total = product if total is None else total + product
    return total


def _lower_choice(call: tvm.ir.Call) -> tirx.Expr:
    condition, value, otherwise = call.args
    if isinstance(condition, tirx.Broadcast):
        condition = condition.value
    dtype, lanes = value.ty.dtype, value.ty.dtype.lanes
    name = {"int8": "char", "int32": "int"}[str(dtype).split("x")[0]]
    operands = condition, value, _broadcast(otherwise, lanes)
    return tirx.call_pure_extern(value.ty, f"mqnet_choose_{name}_{lanes}", *operands)


def _branch(call: tvm.ir.Call) -> tirx.Expr:
    return tirx.if_then_else(*call.args)


tirx.register_intrin_lowering(PACK, target="default", f=partial(_lower_packing, _shifted))
tirx.register_intrin_lowering(PACK, target="opencl", f=partial(_lower_packing, _called))
tirx.register_intrin_lowering(CHOOSE, target="default", f=_branch)
tirx.register_intrin_lowering(CHOOSE, target="opencl", f=_lower_choice)
tirx.register_intrin_lowering(DP4A, target="default", f=_multiply)
tirx.register_intrin_lowering(DP4A, target="opencl", f=_lower_dp4a)
