"""Loads of neighbouring elements, one by one, as one load.

Where it is known what is left of an index that is divided by n, the element lies in a known place
of an aligned vector of n. A load of an element is made one of that vector where another element of
it is loaded, too; the device's compiler makes one load of equal ones. It may reach beyond the end
of a tensor, but not of its memory: the runtime gives whole vectors
(`device/opencl/src/buffers.cc`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import TensorLoad, Var

from compile.codegen.opencl.vector_access import LANES, TYPE_NAMES, global_buffers

#: Bytes of the longest load.
_VECTOR_BYTES = 16


@dataclass(frozen=True)
class _Vector:
    """An aligned vector of a buffer: ``lanes`` elements from ``start`` on."""

    buffer: Var
    start: tvm_ffi.StructuralKey
    lanes: int

    def element(self, place: int) -> tirx.Expr:
        """The element at ``place``, out of a load of the whole vector."""
        index = tirx.Ramp(self.start.key, 1, self.lanes)
        return tirx.Shuffle([tirx.BufferLoad(self.buffer, [index])], [place])


@tirx.transform.prim_func_pass(opt_level=0, name="JoinLoads")
def join_loads(
    function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext
) -> tirx.PrimFunc:
    """Load vectors in a device function where two or more of their elements are loaded."""
    buffers, analyzer = global_buffers(function), tvm.sym.Analyzer()
    places: defaultdict[_Vector, set[int]] = defaultdict(set)

    def find(load: TensorLoad) -> None:
        if load.source in buffers:
            vector, place = _vector_of(load, analyzer)
            places[vector].add(place)

    def join(load: TensorLoad) -> tirx.Expr:
        if load.source not in buffers:
            return load
        vector, place = _vector_of(load, analyzer)
        # Of one that is looked up in another, only that has been changed by now.
        return vector.element(place) if len(places.get(vector, ())) > 1 else load

    tvm_ffi.structural_walk(function.body, (TensorLoad, find))
    return function.with_body(tvm_ffi.structural_map(function.body, (TensorLoad, join)))


def _vector_of(load: TensorLoad, analyzer: tvm.sym.Analyzer) -> tuple[_Vector, int]:
    """The longest vector that a load's element has a known place in, and the place; of one element,
    where there is none."""
    buffer, index = load.source, load.indices[0]
    lanes, place = 1, 0
    if load.ty.dtype.lanes == 1 and str(buffer.dtype) in TYPE_NAMES:
        most, known = _VECTOR_BYTES // buffer.dtype.itemsize, analyzer.modular_set(index)
        lanes = next((n for n in LANES if n <= most and known.coeff % n == 0), 1)
        place = known.base % lanes
    start = analyzer.simplify(index - place) if place else index
    # Its stub asks for the hash as well.
    key = tvm_ffi.StructuralKey(start)  # type: ignore[call-arg]
    return _Vector(buffer, key, lanes), place
