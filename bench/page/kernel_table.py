"""The kernel calls of a frame as tables to be read: layer by layer, and by kind."""

from __future__ import annotations

import pandas as pd

from bench.profiling.kernels_file import KernelsFile


def layer_table(kernels: KernelsFile) -> pd.DataFrame:
    """A row for each call in the network's order, all as text; "" where nothing is multiplied."""
    peak = kernels.machine.peak_macs_per_second["int8"]
    return pd.DataFrame(
        {
            "layer": ", ".join(call.layers),
            "kernel": call.name,
            "writes": call.output,
            "ms": f"{call.seconds * 1e3:.3f}",
            "share": f"{call.seconds / kernels.seconds:.1%}",
            "MB moved": f"{call.moved_bytes / 1e6:.2f}",
            "MMAC": f"{call.macs / 1e6:.2f}" if call.macs else "",
            "GMAC/s": f"{call.macs_per_second / 1e9:.1f}" if call.macs else "",
            "of peak": f"{call.macs_per_second / peak:.0%}" if call.macs and peak else "",
        }
        for call in kernels.calls
    )


def kind_table(kernels: KernelsFile) -> pd.DataFrame:
    """Milliseconds by kind of kernel and engine, all as text."""
    milliseconds = pd.DataFrame(kernels.families).fillna(0) * 1e3
    milliseconds.loc["all"] = milliseconds.sum()
    return milliseconds.map("{:.2f}".format).rename_axis("kind").reset_index()
