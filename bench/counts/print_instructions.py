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
    caption = f"ratio: LiteRT {counted.scheme} / the row, of instructions and of modelled cycles"
    if core.title.lower() != core.model:
        caption += (
            f"\nQEMU has no model of the {core.title}: its {core.model} executes the same "
            "instructions, and LiteRT is told the part number that it chooses kernels by"
        )
    table = Table(title=f"{counted.target} as {core.title}: {NOTE}", caption=caption)
    table.add_column("engine")
    columns = ["million instructions", "NEON", "loads and stores", "dot products", "ratio"]
    for column in (*columns, "million cycles", "cycle ratio"):
        table.add_column(column, justify="right")
    engines = {
        "tvm": counted.ours,
        "tvm-standalone": counted.standalone,
        "litert": counted.litert,
    }
    for engine, counts in engines.items():
        if counts is None:
            continue
        figures = counts.instructions, counts.simd, counts.loads_stores, counts.dot_products
        table.add_row(
            f"{engine} {counted.scheme}",
            *map(_millions, figures),
            "" if counted.litert is None else _ratio(counted.litert.instructions, figures[0]),
            _millions(counts.cycles),
            "" if counted.litert is None else _ratio(counted.litert.cycles, counts.cycles),
        )
    print_table(table)


def _ratio(beside: float | None, ours: float | None) -> str:
    return "" if beside is None or ours is None else f"{beside / ours:.2f}"


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
    columns = ["calls", "million instructions", "share", "MMAC", "MAC / instruction"]
    for column in (*columns, "million cycles", "MAC / cycle"):
        table.add_column(column, justify="right")
    table.add_column("schedule")
    for kernel in counted.kernels[:rows]:
        count, cycles = kernel.counts.instructions, kernel.counts.cycles
        table.add_row(
            next(iter(kernel.layers), ""),
            kernel.name,
            str(kernel.calls),
            _millions(count),
            f"{count / total:.1%}",
            f"{kernel.macs / 1e6:.1f}" if kernel.macs else "",
            f"{kernel.macs / count:.2f}" if kernel.macs else "",
            _millions(cycles),
            f"{kernel.macs / cycles:.2f}" if kernel.macs and cycles else "",
            kernel.schedule,
        )
    print_table(table)


def _millions(count: float | None) -> str:
    return "" if count is None else f"{count / 1e6:.2f}"
