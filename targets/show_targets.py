"""The table of targets for `--target help`, and the same as plain data for `--json`."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compile.support.errors import TargetError
from compile.support.tables import print_table
from targets.describe_target import describe_target
from targets.load_target import list_targets, load_target
from targets.spec import TargetSpec


def describe_targets() -> list[dict[str, Any]]:
    """Every target as plain data for JSON; of one whose file has a mistake "name" and "mistake"."""
    found = []
    for name in list_targets():
        try:
            found.append(msgspec.to_builtins(describe_target(load_target(name))))
        except TargetError as error:
            found.append({"name": name, "mistake": str(error)})
    return found


def print_targets(console: Console) -> None:
    """Prints one line per target, and what is wrong with the file of one that cannot be read."""
    table = Table(caption="MAC/cycle: peak of one core, int8 and float32", caption_justify="left")
    table.add_column("target", style="bold", no_wrap=True)
    table.add_column("what")
    table.add_column("cores")
    table.add_column("threads", justify="right")
    table.add_column("vector")
    table.add_column("MAC/cycle", justify="right")
    table.add_column("linked as")
    for name in list_targets():
        try:
            spec = load_target(name)
        except TargetError as error:
            table.add_row(name, Text(str(error), style="red"))
            continue
        table.add_row(
            spec.name,
            f"{spec.title}\n[dim]found: {spec.variant}[/dim]" if spec.variant else spec.title,
            "\n".join(f"{core.count}x {core.name}" for core in spec.cores),
            str(spec.threads),
            _vector(spec),
            f"{spec.peak_int8_macs} / {spec.peak_fp32_macs}",
            spec.linker,
        )
    print_table(table, console)


def _vector(spec: TargetSpec) -> str:
    if spec.gpu is not None:
        dot = "dot product" if spec.gpu.integer_dot_product else "none"
        return f"{8 * spec.gpu.vector_bytes} bit\n{dot}"
    return f"{spec.processor.vector_bits} bit\n{spec.processor.dot_product}"
