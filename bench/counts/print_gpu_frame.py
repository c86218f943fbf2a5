"""What a frame makes a Mali execute, as a table on a terminal."""

from __future__ import annotations

from rich.table import Table

from bench.counts.gpu_target import NOTE, GpuFrame, GpuKernel
from compile.support.tables import print_table

# The longest name of a layer does not break.
_LAYER_WIDTH = 48


def print_gpu_frame(frame: GpuFrame, rows: int) -> None:
    """Print the ``rows`` costliest kernels of ``frame`` to stdout."""
    total = frame.total
    table = Table(
        title=f"{frame.target} on a {frame.device}: {NOTE}",
        caption=f"A frame: {_millions(total.instructions)} million instructions of work items, "
        f"{_millions(total.accesses)} million loads and stores, {_millions(total.fetches)} million "
        "pixels of images. With more than 32 registers half as many work items run at once. Both "
        "sides of a condition are counted.",
    )
    table.add_column("first layer", min_width=_LAYER_WIDTH)
    table.add_column("kernel", overflow="fold")
    for column in (
        "calls",
        "work items",
        "registers",
        "spills",
        "instructions of an item",
        "loads, stores",
        "million instructions",
        "million loads, stores",
        "million pixels",
        "MAC / load, store",
    ):
        table.add_column(column, justify="right")
    table.add_column("schedule")
    for kernel in frame.kernels[:rows]:
        table.add_row(*_cells(kernel))
    print_table(table)


def _cells(kernel: GpuKernel) -> list[str]:
    total, item = kernel.total, kernel.counts
    return [
        next(iter(kernel.layers), ""),
        kernel.launch.name.removesuffix("_kernel"),
        str(kernel.calls),
        f"{kernel.launch.work_items:,}",
        str(kernel.shader.registers),
        str(kernel.shader.spills + kernel.shader.fills or ""),
        str(item.instructions),
        str(item.accesses),
        _millions(total.instructions),
        _millions(total.accesses),
        _millions(total.fetches) if total.fetches else "",
        f"{kernel.macs / total.accesses:.1f}" if kernel.macs else "",
        kernel.schedule,
    ]


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f}"
