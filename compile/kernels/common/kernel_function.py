"""A kernel before scheduling: a TE compute as PrimFunc that knows its family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import s_tir, te, tirx
from tvm.ir import Range, TensorLoad
from tvm.tirx.stmt import BufferRegion

#: PrimFunc attribute that names the kernel family, which selects the default schedule.
FAMILY_ATTR = "mqnet.family"

#: PrimFunc attribute with the multiply-accumulates of one call.
MACS_ATTR = "mqnet.macs"


@dataclass(frozen=True)
class AccumulatorStart:
    """What the sums of a block begin at, instead of zero: one addition less for each of them.

    The compute of the block says so too (``te.sum(..., init=start.value(*axes))``), so that TE
    knows what it reads; but TVM 0.27 makes a zero of it.

    Attributes:
        block: the name.
        tensor: an operand of the kernel, or what another block computes.
        index: of a sum's start in ``tensor``, by the axes of the sum.
    """

    block: str
    tensor: te.Tensor
    index: Callable[..., Sequence[tirx.Expr]]

    def value(self, *axes: tirx.Expr) -> tirx.Expr:
        """The start of the sum at ``axes``."""
        return self.tensor[tuple(self.index(*axes))]


def start_by_channel(block: str, tensor: te.Tensor) -> AccumulatorStart:
    """Begin the sums of ``block``, whose last axis is the channel, at ``tensor`` [channels]."""
    return AccumulatorStart(block, tensor, lambda *axes: axes[-1:])


def factors_of(block: s_tir.SBlock) -> list[BufferRegion]:
    """Return what the sums of ``block`` are of: what it reads, but for where they begin."""
    start = None if block.init is None else block.init.value
    if not isinstance(start, TensorLoad):
        return list(block.reads)
    return [region for region in block.reads if not region.source.same_as(start.source)]


def create_kernel(
    family: str,
    operands: list[te.Tensor],
    result: te.Tensor,
    macs: int = 0,
    starts: Sequence[AccumulatorStart] = (),
) -> tirx.PrimFunc:
    """PrimFunc over ``operands`` followed by ``result``, tagged with its kernel ``family``, the
    sums of some blocks beginning at their ``starts``.

    It has no global symbol: the module that it is added to gives it its name.
    """
    function = te.create_prim_func([*operands, result])
    if starts:
        sch = s_tir.Schedule(function)
        for start in starts:
            _start(sch, start, operands)
        function = sch.mod["main"]
    function = function.without_attr("global_symbol")
    return function.with_attr(FAMILY_ATTR, family).with_attr(MACS_ATTR, macs)


def _start(sch: s_tir.Schedule, start: AccumulatorStart, operands: list[te.Tensor]) -> None:
    """Put ``start`` into the place of its block's zero."""
    places = [place for place, operand in enumerate(operands) if operand.same_as(start.tensor)]
    if places:
        buffer = sch.mod["main"].params[places[0]]
    else:
        buffer = sch.get(sch.get_sblock(start.tensor.op.name)).writes[0].source
    block = sch.get_sblock(start.block)
    old = sch.get(block)
    spatial = [axis.var for axis in old.iter_vars if axis.iter_type == tirx.IterVar.DataPar]
    index = list(start.index(*spatial))
    region = BufferRegion(buffer, [Range.from_min_extent(i, 1) for i in index])
    store = tirx.BufferStore(old.init.buffer, tirx.BufferLoad(buffer, index), old.init.indices)
    new = s_tir.SBlock(
        old.iter_vars,
        [*old.reads, region],
        old.writes,
        old.name_hint,
        old.body,
        store,
        old.alloc_buffers,
        old.match_buffers,
        old.annotations,
    )
    sch.state.replace(sch.get_sref(block), new, {old: new})
