"""What a default schedule for a GPU needs to know of it, and how loops become work items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tvm import s_tir
from tvm.s_tir.schedule import LoopRV

from compile.kernels.common.tiling import divisors

#: Vectors that OpenCL has, the longest first.
_VECTORS = (16, 8, 4, 3, 2, 1)

#: Work items of a group where the kernel does not ask for more: enough for several warps (16 work
#: items on Valhall), few enough that small feature maps have a group for every core.
GROUP = 64


@dataclass(frozen=True)
class GpuCore:
    """A GPU.

    Attributes:
        work_group: the most work items of a work group.
        registers: of 32 bits that a work item's tile may take.
        vector_bytes: width of one load or store.
        image_weights: default configurations read int8 weights from images where they can.
    """

    device: ClassVar[str] = "gpu"
    recompute_bytes: ClassVar[None] = None

    work_group: int
    registers: int
    vector_bytes: int = 16
    image_weights: bool = False

    @property
    def lanes(self) -> int:
        """32-bit lanes of one load or store."""
        return self.vector_bytes // 4

    @property
    def group(self) -> int:
        """Work items of a usual work group."""
        return min(GROUP, self.work_group)


def vector_length(extent: int, limit: int) -> int:
    """The longest vector of OpenCL, no longer than ``limit``, that ``extent`` is cut into."""
    return next(n for n in _VECTORS if n <= max(1, limit) and extent % n == 0)


def bind_flat(
    sch: s_tir.Schedule, loops: list[LoopRV], core: GpuCore, group: int | None = None
) -> LoopRV:
    """Give every iteration of ``loops``, which are neighbours, a work item of its own."""
    loop = sch.fuse(*loops) if len(loops) > 1 else loops[0]
    size = min(group or core.group, core.work_group, int(sch.get(loop).extent))
    blocks, items = sch.split(loop, [None, size])
    sch.bind(blocks, "blockIdx.x")
    sch.bind(items, "threadIdx.x")
    return items


def bind_tiles(
    sch: s_tir.Schedule, row: LoopRV, column: LoopRV, channel: LoopRV, group: tuple[int, int]
) -> LoopRV:
    """Work items for tiles of a feature map; ``group`` is their (columns, channels) in one work
    group.

    Neighbouring work items have neighbouring channels, so that together they load and store runs
    of memory. The three loops are neighbours in this order; the innermost that results."""
    column_outer, column = sch.split(column, [None, group[0]])
    channel_outer, channel = sch.split(channel, [None, group[1]])
    sch.reorder(row, column_outer, channel_outer, column, channel)
    sch.bind(row, "blockIdx.z")
    sch.bind(column_outer, "blockIdx.y")
    sch.bind(channel_outer, "blockIdx.x")
    sch.bind(column, "threadIdx.y")
    sch.bind(channel, "threadIdx.x")
    return channel


def group_of(columns: int, channels: int, size: int) -> tuple[int, int]:
    """(columns, channels) of the work group for so many tiles: all channels where they fit, else
    as many as divide them; then columns, a divisor of them where that leaves the group at least
    half full, so that no work item is idle."""
    inner = divisors(channels, size)[-1]
    most = max(1, min(columns, size // inner))
    best = divisors(columns, most)[-1]
    return (best if 2 * best > most else most), inner
