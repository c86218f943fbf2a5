"""Vector loads and stores by pointers to vectors, wherever their alignment is known.

Arm's compiler makes one load of ``vload16(0, p)`` all the same; Mesa's, which RK3588 boards have
where Arm's driver is not installed, makes sixteen of one byte each. A pointer to a vector costs one
load everywhere. Buffers are aligned to more than any vector (CL_DEVICE_MEM_BASE_ADDR_ALIGN), so an
access is aligned where its index is a multiple of the vector's length.
"""

from __future__ import annotations

import tvm
import tvm_ffi
from tvm import tirx
from tvm.ir import TensorLoad, Var

from compile.codegen.opencl.vector_access import (
    LANES,
    TYPE_NAMES,
    global_buffers,
    load_vector,
    store_vector,
)


@tirx.transform.prim_func_pass(opt_level=0, name="AlignAccesses")
def align_accesses(
    function: tirx.PrimFunc, _mod: tvm.IRModule, _context: tvm.transform.PassContext
) -> tirx.PrimFunc:
    """Turn the vector accesses of a device function that are aligned whatever the work item into
    those of :mod:`compile.codegen.opencl.vector_access`; others stay."""
    buffers, analyzer = global_buffers(function), tvm.sym.Analyzer()

    def aligned_start(buffer: Var, index: tirx.Expr) -> tirx.Expr | None:
        if buffer not in buffers or str(buffer.dtype) not in TYPE_NAMES:
            return None
        if not isinstance(index, tirx.Ramp) or int(index.stride) != 1:
            return None
        lanes, known = int(index.lanes), analyzer.modular_set(index.base)
        is_aligned = known.coeff % lanes == known.base % lanes == 0
        return index.base if lanes in LANES and is_aligned else None

    def load(node: TensorLoad) -> tirx.Expr:
        start = aligned_start(node.source, node.indices[0])
        return node if start is None else load_vector(node.source, start, node.ty.dtype.lanes)

    def store(node: tirx.BufferStore) -> tirx.Stmt:
        start = aligned_start(node.buffer, node.indices[0])
        return node if start is None else store_vector(node.buffer, start, node.value)

    return tvm_ffi.structural_map(function, [(TensorLoad, load), (tirx.BufferStore, store)])
