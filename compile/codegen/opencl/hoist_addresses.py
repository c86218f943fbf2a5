"""What the addresses in a kernel's loops have in common, computed once.

An access has one index. Mesa's compiler for Mali takes that at its word: it computes every index
from its beginning in each iteration, and scales and extends it with its sign to 64 bits. So an
index in a loop is taken apart here: what no loop changes is a variable in front of all loops, and a
constant comes last (LLVM does that by itself). And everywhere, it counts bytes and has no sign, so
that neither is left to do in 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import Call, Op, TensorLoad, Var

from compile.codegen.opencl.read_images import PIXEL
from compile.codegen.opencl.step_addresses import ADDRESS
from compile.codegen.opencl.vector_access import called_name, global_buffers

_ADDRESS_OF = Op.get("tirx.address_of")

#: Bytes of a buffer that indices of 32 bits reach: they are computed with a sign.
_REACH = 2**31


@tirx.transform.prim_func_pass(opt_level=0, name="HoistAddresses")
def hoist_addresses(
    function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext
) -> tirx.PrimFunc:
    """Take the indices of a device function's addresses and pixels apart.

    No pass of TVM's may come behind this: StmtSimplify puts the variables' values back into the
    loops.
    """
    work_item = {launch.node.var for launch in _launches(function.body)}
    hoisting = _Hoisting(global_buffers(function), work_item)
    body = tvm_ffi.structural_map(function.body, (Call, hoisting.rewrite))
    return function.with_body(hoisting.declare_in(body))


@dataclass
class _Hoisting:
    """What is put in front of a function's loops.

    Attributes:
        buffers: in memory of the function's parameters, and which parameter's.
        work_item: variables that number the work item.
        bases: variables for what the work item determines.
    """

    buffers: dict[Var, Var]
    work_item: set[Var]
    bases: dict[tvm_ffi.StructuralKey, Var] = field(default_factory=dict)

    def rewrite(self, call: Call) -> tirx.Expr:
        """An address or a pixel with its index taken apart; other calls as they are."""
        if called_name(call) == PIXEL:
            *name_and_image, index = call.args
            varying, constant = self._apart(index, 1)
            return Call(call.op, [*name_and_image, varying + constant], ret_ty=call.ty)
        if call.op != _ADDRESS_OF or not isinstance(call.args[0], TensorLoad):
            return call
        buffer, index = call.args[0].source, call.args[0].indices[0]
        if buffer not in self.buffers:
            return call
        size = buffer.dtype.itemsize
        if int(buffer.shape[0]) * size > _REACH:
            return call
        varying, constant = self._apart(index, size)
        pointer = self.buffers[buffer]
        return tirx.call_pure_extern("uint64", ADDRESS, pointer, varying, constant)

    def _apart(self, index: tirx.Expr, size: int) -> tuple[tirx.Expr, int]:
        """``index`` times ``size`` without its constant, and this. Where no loop changes it, it is
        as it was: its parts would only be alive for longer."""
        fixed: list[tuple[int, tirx.Expr]] = []
        varying: list[tuple[int, tirx.Expr]] = []
        constant = 0
        for sign, term in _terms(index, 1):
            if isinstance(term, tirx.IntImm):
                constant += sign * int(term)
            else:
                (fixed if self._is_fixed(term) else varying).append((sign, term))
        if not varying:
            total = _sum(fixed) * size if fixed else tirx.const(0, "int32")
            return total, constant * size
        total = _sum(varying) * size
        if fixed:
            total = self._base(_sum(fixed) * size) + total
        return total, constant * size

    def _is_fixed(self, term: tirx.Expr) -> bool:
        variables: list[Var] = []
        tvm_ffi.structural_walk(term, (Var, variables.append))
        return self.work_item.issuperset(variables)

    def _base(self, value: tirx.Expr) -> Var:
        name = f"base_{len(self.bases)}"
        # Its stub asks for the hash as well.
        key = tvm_ffi.StructuralKey(value)  # type: ignore[call-arg]
        return self.bases.setdefault(key, Var(name, value.ty))

    def declare_in(self, body: tirx.Stmt) -> tirx.Stmt:
        """``body`` with all of it at the beginning of a work item."""
        bases = [tirx.Bind(variable, value.key) for value, variable in self.bases.items()]
        if not bases:
            return body
        innermost = _launches(body)[-1]
        inside = tirx.SeqStmt([*bases, innermost.body])

        def put(launch: tirx.AttrStmt) -> tirx.Stmt:
            if not launch.node.same_as(innermost.node):
                return launch
            return tirx.AttrStmt(launch.node, launch.attr_key, launch.value, inside)

        found = tvm_ffi.structural_map(body, (tirx.AttrStmt, put))
        assert not found.same_as(body)
        return found


def _launches(body: tirx.Stmt) -> list[tirx.AttrStmt]:
    """The statements that give the work items their numbers, the outermost first."""
    found: list[tirx.AttrStmt] = []

    def visit(node: tirx.AttrStmt) -> None:
        if node.attr_key == "thread_extent":
            found.append(node)

    tvm_ffi.structural_walk(body, (tirx.AttrStmt, visit), order="pre")
    return found


def _sum(terms: list[tuple[int, tirx.Expr]]) -> tirx.Expr:
    """Of terms with their signs, in this order."""
    (sign, total), *others = terms
    total = total if sign > 0 else 0 - total
    for sign, term in others:
        total = total + term if sign > 0 else total - term
    return total


def _terms(index: tirx.Expr, sign: int) -> Iterator[tuple[int, tirx.Expr]]:
    """The summands of ``index`` with their signs."""
    match index:
        case tirx.Add(a=left, b=right):
            yield from _terms(left, sign)
            yield from _terms(right, sign)
        case tirx.Sub(a=left, b=right):
            yield from _terms(left, sign)
            yield from _terms(right, -sign)
        case _:
            yield sign, index
