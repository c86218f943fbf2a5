"""The short table at the end of a build."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compile.artefact.reader import Artefact
from compile.support.tables import print_table


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
    linker = artefact.manifest.linker
    line = f"linked with {linker.linker} ({linker.version})"
    console.print(line, highlight=False, markup=False, soft_wrap=True)
