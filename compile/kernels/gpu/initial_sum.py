"""Sums that begin with what is added behind them, since the dot product adds for nothing.

A Mali's dot product has an accumulator. A sum of int32 that begins with the bias instead of zero
needs no addition of it; nor does one of a concat's high part, that begins with the low part's. TE
knows no beginning but zero, so the addition is moved in TIR. int32 wraps: the result is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tvm
import tvm_ffi
from tvm import s_tir, tirx
from tvm.ir import Range, TensorLoad

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind

#: (indices of a sum) -> those of the element that it begins with.
Place = Callable[[Sequence[tirx.Expr]], Sequence[tirx.Expr]]


def begin_with_bias(function: tirx.PrimFunc, block: str, epilogue: ConvEpilogue) -> tirx.PrimFunc:
    """Return ``function`` with the int32 sums of its block ``block`` beginning with what its
    ``epilogue`` adds to them, by channel."""
    addend = "bias" if epilogue.kind is EpilogueKind.REQUANTIZE else "offset"
    return begin_sum(function, block, addend, lambda indices: indices[-1:])


def begin_sum(function: tirx.PrimFunc, block: str, addend: str, place: Place) -> tirx.PrimFunc:
    """Return ``function`` with the sums of its block ``block`` beginning with elements of the
    buffer ``addend``, a parameter or another block's result, that its last block adds no more."""
    buffers = {str(buffer.name): buffer for buffer in function.params}

    def find(node: s_tir.SBlock) -> None:
        buffers.update({str(buffer.name): buffer for buffer in node.alloc_buffers})

    tvm_ffi.structural_walk(function.body, (s_tir.SBlock, find))
    source = buffers[addend]

    def put(node: s_tir.SBlock) -> s_tir.SBlock:
        reads, body, init = list(node.reads), node.body, node.init
        if node.name_hint == block:
            indices = place(init.indices)
            # In front: the weights stay the last, by which they are found.
            reads.insert(
                0, tirx.BufferRegion(source, [Range.from_min_extent(i, 1) for i in indices])
            )
            init = tirx.BufferStore(init.buffer, tirx.BufferLoad(source, indices), init.indices)
        elif any(region.source.same_as(source) for region in reads):
            reads = [region for region in reads if not region.source.same_as(source)]
            body = tvm_ffi.structural_map(body, (tirx.Add, without))
        else:
            return node
        return s_tir.SBlock(
            node.iter_vars,
            reads,
            node.writes,
            node.name_hint,
            body,
            init,
            node.alloc_buffers,
            node.match_buffers,
            node.annotations,
        )

    def is_addend(value: tvm.ir.Expr) -> bool:
        return isinstance(value, TensorLoad) and value.source.same_as(source)

    def without(total: tirx.Add) -> tvm.ir.Expr:
        if is_addend(total.a):
            return total.b
        return total.a if is_addend(total.b) else total

    return function.with_body(tvm_ffi.structural_map(function.body, (s_tir.SBlock, put)))
