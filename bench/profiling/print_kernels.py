"""The kernels of a frame as tables on a terminal: the longest calls, and the time by kind."""

from __future__ import annotations

from rich.table import Table

from bench.profiling.kernels_file import KernelsFile
from compile.support.tables import print_table

# The longest name of a layer does not break.
_LAYER_WIDTH = 48


def print_kernels(kernels: KernelsFile, rows: int) -> None:
    """Print the ``rows`` longest calls, the time of each kind of kernel, and the machine's limits
    to stdout."""
    _print_table(kernels, rows)
    _print_families(kernels.families)
    clock, copies = kernels.machine.clock_hz / 1e9, kernels.machine.copy_bytes_per_second / 1e9
    print(f"{clock:.2f} GHz, copies {copies:.1f} GB/s")


def _print_table(kernels: KernelsFile, rows: int) -> None:
    peak = kernels.machine.peak_macs_per_second["int8"]
    summary = f"{kernels.seconds * 1e3:.1f} ms in {len(kernels.calls)} kernel calls, one thread"
    summary += f", target {kernels.network.target}"
    table = Table(
        title=f"{summary}: {kernels.environment['cpu']}, {kernels.environment['engine']}",
        caption="peak: of int8 arithmetic, also for kernels that compute in float",
    )
    table.add_column("layer", min_width=_LAYER_WIDTH)
    for column in ("kernel", "writes"):
        table.add_column(column, overflow="fold")
    for column in ("ms", "share", "MMAC", "GMAC/s", "peak", "schedule"):
        table.add_column(column, justify="right", no_wrap=True)
    for call in sorted(kernels.calls, key=lambda call: -call.seconds)[:rows]:
        table.add_row(
            ", ".join(call.layers),
            call.name,
            call.output,
            f"{call.seconds * 1e3:.2f}",
            f"{call.seconds / kernels.seconds:.1%}",
            f"{call.macs / 1e6:.1f}" if call.macs else "",
            f"{call.macs_per_second / 1e9:.1f}" if call.macs else "",
            f"{call.macs_per_second / peak:.0%}" if call.macs and peak else "",
            call.schedule,
        )
    print_table(table)


def _print_families(families: dict[str, dict[str, float]]) -> None:
    table = Table(title="milliseconds per frame by kind of kernel, one thread")
    table.add_column("kind")
    for engine in families:
        table.add_column(engine, justify="right")
    for kind in dict.fromkeys(kind for times in families.values() for kind in times):
        table.add_row(kind, *(f"{times.get(kind, 0) * 1e3:.2f}" for times in families.values()))
    table.add_row("all", *(f"{sum(times.values()) * 1e3:.2f}" for times in families.values()))
    print_table(table)
