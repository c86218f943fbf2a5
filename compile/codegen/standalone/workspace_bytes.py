"""How much scratch memory the kernels of a network take, so that it is there before a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import tvm
from tvm import s_tir, tirx
from tvm.runtime import Object

from compile.codegen.standalone.read_plan import ALIGNMENT, bytes_of

# TVM's passes up to the one that cuts buffers to what is used of them.
_PASSES = (
    s_tir.transform.CanonicalizeLoop,
    s_tir.transform.LowerCrossThreadReduction,
    s_tir.transform.LowerInitBlock,
    s_tir.transform.PlanAndUpdateBufferAllocationLocation,
    s_tir.transform.ConvertBlocksToOpaque,
    s_tir.transform.LiftThreadBinding,
    s_tir.transform.ManifestSharedMemoryLocalStage,
    s_tir.transform.CompactBufferAllocation,
)
# Statements that hold others, by the names of their attributes.
_INNER = ("body", "seq", "then_case", "else_case", "block", "init")


def workspace_bytes(kernels: dict[str, tirx.PrimFunc]) -> int:
    """Compute a bound of what one thread holds at a time, in bytes: all buffers of the kernel that
    has most."""
    module = tvm.transform.Sequential([make() for make in _PASSES])(tvm.IRModule(kernels))
    return max(
        (
            sum(_aligned(buffer) for buffer in _buffers(function.body))
            for _, function in module.functions_items()
        ),
        default=0,
    )


def _aligned(buffer: tirx.Buffer) -> int:
    size = bytes_of([int(extent) for extent in buffer.shape], str(buffer.dtype))
    return size + -size % ALIGNMENT


def _buffers(statement: Object) -> Iterator[tirx.Buffer]:
    yield from getattr(statement, "alloc_buffers", ())
    if isinstance(statement, tirx.AllocBuffer):
        yield statement.buffer
    for name in _INNER:
        inner = getattr(statement, name, None)
        if inner is None:
            continue
        parts: Iterable[Object] = inner if name == "seq" else (inner,)
        for part in parts:
            yield from _buffers(part)
