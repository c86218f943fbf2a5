"""The schedule of every elementwise kernel on a GPU: a vector of 128 bits to a work item."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod

from tvm import s_tir

from compile.kernels.cpu.plain import elementwise
from compile.kernels.family import KernelFamily
from compile.kernels.gpu.gpu_core import GpuCore, bind_flat, vector_length

#: Elements of a work item; those of int8 are one vector, those of float32 four.
_MOST_LANES = 16

#: Blocks that read here and there.
_GATHERING = {
    *("table_lookup", "channel_table", "channel_maximum", "channel_mean"),
    *("pixel_shuffle", "resize_bilinear", "rearranged", "strided_slice"),
}

#: Sizes of a work group that are tried.
_GROUPS = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Configuration:
    """How the loops are cut.

    Attributes:
        lanes: neighbouring elements that a work item computes in vectors.
        group: work items of a work group.
    """

    lanes: int
    group: int


def configurations(sch: s_tir.Schedule, core: GpuCore) -> list[Configuration]:
    """All that can be scheduled and are worth a try."""
    longest = _longest(sch, core)
    lengths = dict.fromkeys(vector_length(longest, n) for n in (2, 4, 8, 16))
    return [
        Configuration(lanes, group)
        for lanes in lengths
        for group in _GROUPS
        if group <= core.work_group
    ]


def default_configuration(sch: s_tir.Schedule, core: GpuCore) -> Configuration:
    """One load or store of the widest operand, or of bytes as many as make one."""
    return Configuration(_longest(sch, core), core.group)


def schedule(
    sch: s_tir.Schedule, core: GpuCore, configuration: Configuration | None = None
) -> None:
    """Inline every block into the last one; runs of its elements to work items; cut by the
    default configuration unless another one is given."""
    configuration = configuration or default_configuration(sch, core)
    *inner, last = sch.get_child_blocks(sch.get_sblock("root"))
    is_gathering = _gathers(sch)
    for block in inner:
        sch.compute_inline(block)
    # A number without dimensions has no loop.
    *outer, run = sch.get_loops(last) or [sch.add_unit_loop(last)]
    if int(sch.get(run).extent) % configuration.lanes:
        # Longer than the channels: they are one run through memory with the columns.
        outer, run = [], sch.fuse(*outer, run)
    run, lane = sch.split(run, [None, configuration.lanes])
    bind_flat(sch, [*outer, run], core, configuration.group)
    if is_gathering:
        sch.unroll(lane)
    else:
        sch.vectorize(lane)


def _longest(sch: s_tir.Schedule, core: GpuCore) -> int:
    """The longest vector that lies in one run of every operand.

    The elements are one run through memory; where an operand has another shape (one value per
    channel, or the two parts of a concat), a vector must not go on over the end of its channels.
    """
    blocks = [sch.get(block) for block in sch.get_child_blocks(sch.get_sblock("root"))]
    regions = [region for block in blocks for region in (*block.reads, *block.writes)]
    buffers = [region.source for region in regions]
    widest = max(int(buffer.dtype.itemsize) for buffer in buffers)
    limit = max(core.lanes, min(_MOST_LANES, core.vector_bytes // widest))
    # Those of fewer dimensions are scales and zero points, the same for all elements.
    pictures = {tuple(map(int, buffer.shape)) for buffer in buffers if len(buffer.shape) > 1}
    if len(pictures) == 1:
        return vector_length(prod(*pictures), limit)
    return vector_length(gcd(*(shape[-1] for shape in pictures if shape[-1] > 1)), limit)


def _gathers(sch: s_tir.Schedule) -> bool:
    """Whether neighbouring elements are not read side by side: each is loaded by itself. TVM's
    OpenCL for a vector of bytes with gaps between them gives wrong numbers."""
    blocks = sch.get_child_blocks(sch.get_sblock("root"))
    return any(str(sch.get(block).name_hint) in _GATHERING for block in blocks)


FAMILY = KernelFamily(
    elementwise.FAMILY.name,
    elementwise.FAMILY.kind,
    schedule,
    Configuration,
    configurations,
    default_configuration,
    serves=elementwise.serves,
)
