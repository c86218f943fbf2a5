"""Vectors of global memory in a device function's TIR, by pointers to vectors.

TVM's code generator writes a vector load as ``vload16(0, p)``, which promises no more than that p
is aligned as one element. A pointer to a vector says that p is aligned as the whole vector. TIR has
no such pointer, so an aligned access is a call on the address of an element, which
:mod:`compile.codegen.opencl.called_functions` spells.
"""

from __future__ import annotations

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import Op, Var

#: What OpenCL C calls the types that have vectors.
TYPE_NAMES = {
    "int8": "char",
    "uint8": "uchar",
    "int16": "short",
    "uint16": "ushort",
    "float16": "half",
    "int32": "int",
    "uint32": "uint",
    "float32": "float",
}

#: Elements of OpenCL's vectors, without those of three, which have no alignment of their own.
LANES = (16, 8, 4, 2)

_CALL_PURE_EXTERN = Op.get("tirx.call_pure_extern")


def load_vector(buffer: Var, start: tirx.Expr, lanes: int) -> tirx.Expr:
    """Return the ``lanes`` elements of ``buffer`` from ``start`` on, which is a multiple of
    ``lanes``, as one value."""
    # Pure, although memory may change: no pass behind this moves it.
    return tirx.call_pure_extern(
        f"{buffer.dtype}x{lanes}", _name("load", buffer, lanes), _address(buffer, start)
    )


def store_vector(buffer: Var, start: tirx.Expr, value: tirx.Expr) -> tirx.Stmt:
    """Return the statement that writes the vector ``value`` to ``buffer`` from ``start`` on, which
    is a multiple of its lanes."""
    name = _name("store", buffer, value.ty.dtype.lanes)
    return tirx.Evaluate(tirx.call_extern("void", name, _address(buffer, start), value))


def called_name(call: tvm.ir.Call) -> str | None:
    """Return the name of the C function that ``call`` calls as a value, if it is one."""
    return str(call.args[0].value) if call.op == _CALL_PURE_EXTERN else None


def global_buffers(function: tirx.PrimFunc) -> dict[Var, Var]:
    """Return the buffers of a device function that lie in memory of its parameters, and which
    parameter's."""
    found: dict[Var, Var] = {}
    params = set(function.params)

    def visit(declaration: tirx.DeclBuffer) -> None:
        if declaration.data in params:
            found[declaration.buffer] = declaration.data

    tvm_ffi.structural_walk(function.body, (tirx.DeclBuffer, visit))
    return found


def _name(kind: str, buffer: Var, lanes: int) -> str:
    return f"mqnet_{kind}_{TYPE_NAMES[str(buffer.dtype)]}_{lanes}"


def _address(buffer: Var, index: tirx.Expr) -> tirx.Expr:
    return tirx.address_of(tirx.BufferLoad(buffer, [index]))
