"""The instructions of a frame as tables on a terminal: both engines, and ours kernel by kernel."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from bench.counts.count_target import TargetInstructions
from bench.counts.count_targets import NOTE
from compile.support.tables import print_table

# The longest name of a layer does not break.
_LAYER_WIDTH = 48


def print_instructions(counted: Iterable[TargetInstructions], rows: int) -> None:
    """Print the engines and the ``rows`` costliest kernels of each target to stdout."""
    for target in counted:
        _print_engines(target)
        _print_kernels(target, rows)


def _print_engines(counted: TargetInstructions) -> None:
    core = counted.core
    caption = f"ratio: instructions of LiteRT {counted.scheme} / instructions of the row"
    if core.title.lower() != core.model:
        caption += (
            f"\nQEMU has no model of the {core.title}: its {core.model} executes the same "
            "instructions, and LiteRT is told the part number that it chooses kernels by"
        )
    table = Table(title=f"{counted.target} as {core.title}: {NOTE}", caption=caption)
    table.add_column("engine")
    for column in ("million instructions", "NEON", "loads and stores", "dot products", "ratio"):
        table.add_column(column, justify="right")
    for engine, counts in (("tvm", counted.ours), ("litert", counted.litert)):
        if counts is None:
            continue
        figures = counts.instructions, counts.simd, counts.loads_stores, counts.dot_products
        ratio = ""
        if counted.litert is not None:
            ratio = f"{counted.litert.instructions / counts.instructions:.2f}"
        table.add_row(f"{engine} {counted.scheme}", *map(_millions, figures), ratio)
    print_table(table)


def _print_kernels(counted: TargetInstructions, rows: int) -> None:
    total = counted.ours.instructions
    in_kernels = sum(kernel.counts.instructions for kernel in counted.kernels)
    table = Table(
        title=f"{counted.target}, kernel by kernel: {NOTE}",
        caption=f"{_millions(total - in_kernels)} million between the kernels, in the virtual "
        "machine and in its caller",
    )
    table.add_column("first layer", min_width=_LAYER_WIDTH)
    table.add_column("kernel", overflow="fold")
    for column in ("calls", "million instructions", "share", "MMAC", "MAC / instruction"):
        table.add_column(column, justify="right")
    table.add_column("schedule")
    for kernel in counted.kernels[:rows]:
        count = kernel.counts.instructions
        table.add_row(
            next(iter(kernel.layers), ""),
            kernel.name,
            str(kernel.calls),
            _millions(count),
            f"{count / total:.1%}",
            f"{kernel.macs / 1e6:.1f}" if kernel.macs else "",
            f"{kernel.macs / count:.2f}" if kernel.macs else "",
            kernel.schedule,
        )
    print_table(table)


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f}"
