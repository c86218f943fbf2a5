"""The short table at the end of a build."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compile.artefact.manifest import Coverage
from compile.artefact.reader import Artefact
from compile.support.tables import print_table

_MOST_NAMES = 8
_MOST_OPERATIONS = 5


def show_build(artefact: Artefact, console: Console) -> None:
    """Print what ``artefact`` holds, part by part."""
    table = Table(title=escape(str(artefact.library)), title_justify="left", title_style="bold")
    table.add_column("part")
    for column in ("ops", "MMAC", "weights kB", "activations MB", "tuned", "default"):
        table.add_column(column, justify="right")
    for part in artefact.manifest.parts:
        table.add_row(
            part.name,
            str(part.ops),
            f"{part.macs / 1e6:,.1f}",
            f"{part.weight_bytes / 1e3:,.1f}",
            f"{part.activation_bytes / 1e6:,.2f}",
            str(part.kernels_with_record),
            str(part.kernels_without_record),
        )
    print_table(table, console)
    coverage = artefact.manifest.coverage
    if coverage is not None:
        for text in (describe_integers(coverage), *describe_floats(coverage)):
            console.print(text, highlight=False, markup=False, soft_wrap=True)
    linker = artefact.manifest.linker
    line = f"linked with {linker.linker} ({linker.version})"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def describe_integers(coverage: Coverage) -> str:
    """Say in one line how much of a network is computed in integers, and what is not."""
    macs, ops = coverage.int8_macs + coverage.float_macs, coverage.integer_ops + coverage.float_ops
    share = f"{coverage.int8_macs / macs:.1%}" if macs else "none"
    line = f"in int8: {share} of MACs, {coverage.integer_ops} of {ops} ops"
    if not coverage.integer_ops or not coverage.float_layers:
        return line
    names, more = coverage.float_layers[:_MOST_NAMES], len(coverage.float_layers) - _MOST_NAMES
    return f"{line}; float results: {', '.join(names)}" + (f" and {more} more" if more > 0 else "")


def describe_floats(coverage: Coverage) -> list[str]:
    """Say in a line each which operations were wanted in integers and are not, and why; of many the
    first ones, and how many more there are."""
    operations = coverage.float_operations
    lines = [
        f"in float: {each.module} ({each.operation}): {each.reason}"
        for each in operations[:_MOST_OPERATIONS]
    ]
    more = len(operations) - _MOST_OPERATIONS
    return [*lines, f"in float: {more} more (--json lists all)"] if more > 0 else lines
