"""How much scratch memory the kernels of a network take, so that it is there before a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import tvm
from tvm import s_tir, tirx
from tvm.runtime import Object

from compile.codegen.standalone.read_plan import ALIGNMENT, bytes_of

# TVM's passes up to the last one that changes buffers (`default_s_tir_pipeline`): they are cut to
# what is used of them, made wider where a loop around them becomes a vector, joined where they live
# at different times, and repeated where a loop is unrolled.
_PASSES = (
    s_tir.transform.CanonicalizeLoop,
    s_tir.transform.LowerCrossThreadReduction,
    s_tir.transform.LowerInitBlock,
    s_tir.transform.PlanAndUpdateBufferAllocationLocation,
    s_tir.transform.ConvertBlocksToOpaque,
    s_tir.transform.LiftThreadBinding,
    s_tir.transform.ManifestSharedMemoryLocalStage,
    s_tir.transform.CompactBufferAllocation,
    s_tir.transform.LowerMatchBuffer,
    s_tir.transform.StmtSimplify,
    s_tir.transform.AnnotateIrregularLoop,
    s_tir.transform.InjectSoftwarePipeline,
    s_tir.transform.LowerOpaqueBlock,
    tirx.transform.FlattenBuffer,
    tirx.transform.BF16ComputeLegalize,
    partial(tirx.transform.NarrowDataType, 32),
    s_tir.transform.LoopPartition,
    tirx.transform.VectorizeLoop,
    s_tir.transform.InjectVirtualThread,
    s_tir.transform.InjectDoubleBuffer,
    tirx.transform.StorageRewrite,
    s_tir.transform.HoistIfThenElse,
    tirx.transform.UnrollLoop,
)
# Statements that hold others, by the names of their attributes.
_INNER = ("body", "seq", "then_case", "else_case", "block", "init")


def workspace_bytes(kernels: dict[str, tirx.PrimFunc]) -> int:
    """Compute a bound of what one thread holds at a time, in bytes: all buffers of the kernel that
    has most."""
    named = {name: kernel.with_attr("global_symbol", name) for name, kernel in kernels.items()}
    module = tvm.transform.Sequential([make() for make in _PASSES])(tvm.IRModule(named))
    return max(
        (
            sum(_aligned(buffer) for buffer in _buffers(function.body))
            for _, function in module.functions_items()
        ),
        default=0,
    )


def _aligned(buffer: tirx.Buffer) -> int:
    size = bytes_of([int(extent) for extent in buffer.shape], str(buffer.dtype))
    # Before each is what the runtime knows of it (workspace.h).
    return ALIGNMENT + size + -size % ALIGNMENT


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
