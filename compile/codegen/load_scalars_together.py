"""Numbers that multiply whole vectors, loaded four at a time.

AArch64 multiplies a vector by one element of another (Arm Architecture Reference Manual, C7.2,
FMLA by element). A loop that is unrolled over its weights reads them one by one, for which there
are not enough registers, so that each of them becomes a load in every turn.
"""

from __future__ import annotations

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import TensorLoad
from tvm.script import tirx as T
from tvm.target import codegen

_LANES = 4


@tirx.transform.prim_func_pass(opt_level=0, name="LoadScalarsTogether")
def load_scalars_together(
    function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext
) -> tirx.PrimFunc:
    """Take float32 that a lowered function broadcasts out of the vector of four that they lie in,
    where their place is a constant."""
    if "neon" not in map(str, codegen.llvm_get_cpu_features(function.attrs["target"])):
        return function
    return function.with_body(tvm_ffi.structural_map(function.body, (tirx.Broadcast, _element)))


def _element(broadcast: tirx.Broadcast) -> tirx.Expr:
    load = broadcast.value
    if not isinstance(load, TensorLoad) or str(load.ty.dtype) != "float32":
        return broadcast
    (index,) = load.indices
    if not isinstance(index, tirx.IntImm):
        return broadcast
    place = int(index) % _LANES
    first = int(index) - place
    if first + _LANES > int(load.source.shape[0]):
        return broadcast
    four = tirx.BufferLoad(load.source, [tirx.Ramp(tirx.const(first, index.ty), 1, _LANES)])
    return T.broadcast(tirx.Shuffle([four], [place]), broadcast.lanes)
