"""What the addresses in a kernel's loops have in common, computed once.

An access has one index. Mesa's compiler for Mali takes that at its word: it computes every index
from its beginning in each iteration, and scales it in 64 bits. So an index in a loop is taken apart
here: what no loop changes is a variable in front of all loops, a constant comes last, and words
are read at an index of bytes. LLVM does the former by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import Call, Op, TensorLoad, Var

from compile.codegen.opencl.read_images import PIXEL
from compile.codegen.opencl.vector_access import called_name, global_buffers

_ADDRESS_OF = Op.get("tirx.address_of")

#: Bytes of an element, where an index of bytes has 32 bits all the same: words are weights and
#: other constants. A feature map of floats may have more than 2 GB.
_BYTES = {"int32": 4}


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
        bytes: views of parameters as bytes.
    """

    buffers: dict[Var, Var]
    work_item: set[Var]
    bases: dict[tvm_ffi.StructuralKey, Var] = field(default_factory=dict)
    bytes: dict[Var, Var] = field(default_factory=dict)

    def rewrite(self, call: Call) -> tirx.Expr:
        """An address or a pixel with its index taken apart; other calls as they are."""
        if called_name(call) == PIXEL:
            *name_and_image, index = call.args
            found = self._apart(index, 1)
            return (
                call if found is None else Call(call.op, [*name_and_image, found], ret_ty=call.ty)
            )
        if call.op != _ADDRESS_OF or not isinstance(call.args[0], TensorLoad):
            return call
        buffer, index = call.args[0].source, call.args[0].indices[0]
        if buffer not in self.buffers:
            return call
        size = _BYTES.get(str(buffer.dtype), 1)
        found = self._apart(index, size)
        if found is None:
            return call
        return tirx.address_of(tirx.BufferLoad(self._viewed(buffer, size), [found]))

    def _apart(self, index: tirx.Expr, size: int) -> tirx.Expr | None:
        """``index`` times ``size``; None where no loop changes it: its parts would only be alive
        for longer."""
        fixed: list[tuple[int, tirx.Expr]] = []
        varying: list[tuple[int, tirx.Expr]] = []
        constant = 0
        for sign, term in _terms(index, 1):
            if isinstance(term, tirx.IntImm):
                constant += sign * int(term)
            else:
                (fixed if self._is_fixed(term) else varying).append((sign, term))
        if not varying:
            return None
        total = _sum(varying) * size
        if fixed:
            total = self._base(_sum(fixed) * size) + total
        return total + constant * size

    def _is_fixed(self, term: tirx.Expr) -> bool:
        variables: list[Var] = []
        tvm_ffi.structural_walk(term, (Var, variables.append))
        return self.work_item.issuperset(variables)

    def _base(self, value: tirx.Expr) -> Var:
        name = f"base_{len(self.bases)}"
        # Its stub asks for the hash as well.
        key = tvm_ffi.StructuralKey(value)  # type: ignore[call-arg]
        return self.bases.setdefault(key, Var(name, value.ty))

    def _viewed(self, buffer: Var, size: int) -> Var:
        if size == 1:
            return buffer
        if buffer not in self.bytes:
            count = buffer.shape[0] * size
            self.bytes[buffer] = tirx.decl_buffer(
                (count,), "int8", f"{buffer.name}_bytes", layout=None
            )
        return self.bytes[buffer]

    def declare_in(self, body: tirx.Stmt) -> tirx.Stmt:
        """``body`` with all of it at the beginning of a work item."""
        views = [tirx.DeclBuffer(view, data=self.buffers[of]) for of, view in self.bytes.items()]
        bases = [tirx.Bind(variable, value.key) for value, variable in self.bases.items()]
        if not bases and not views:
            return body
        innermost = _launches(body)[-1]
        inside = tirx.SeqStmt([*views, *bases, innermost.body])

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
