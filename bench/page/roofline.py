"""Roofline (Williams, Waterman and Patterson, CACM 2009): speed over MACs per byte moved."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bench.page.drawing import chart_style, new_chart, plain_numbers
from bench.profiling.kernel_call import KernelCall
from bench.profiling.kernels_file import KernelsFile
from compile.artefact.manifest import KernelSummary
from compile.support.atomic import atomic_path


def multiplies(kernels: Iterable[KernelCall | KernelSummary]) -> bool:
    """Whether one of ``kernels`` does; else there is no roofline."""
    return any(kernel.macs for kernel in kernels)


def roofline(kernels: KernelsFile) -> Figure:
    """Each kernel call that multiplies, under what the machine can do at most.

    Raises:
        ValueError: none does, see :func:`multiplies`.
    """
    calls = [call for call in kernels.calls if call.macs]
    if not calls:
        raise ValueError("no kernel call multiplies")
    bandwidth = kernels.machine.copy_bytes_per_second
    intensity = np.array([call.macs / call.moved_bytes for call in calls])
    speed = np.array([call.macs_per_second for call in calls]) / 1e9
    area = np.array([call.seconds for call in calls])
    figure, panel = new_chart(5, 7)
    x = np.geomspace(intensity.min() / 2, intensity.max() * 2, 200)
    for kind, peak in kernels.machine.peak_macs_per_second.items():
        if not peak:
            continue  # Of a GPU, whose clock is not known.
        roof = np.minimum(peak, x * bandwidth) / 1e9
        panel.loglog(x, roof, label=f"{kind}: {peak / 1e9:.0f} GMAC/s, {bandwidth / 1e9:.0f} GB/s")
    for family in sorted({call.family for call in calls}):
        chosen = [index for index, call in enumerate(calls) if call.family == family]
        sizes = 3000 * area[chosen] / area.sum()
        panel.scatter(intensity[chosen], speed[chosen], sizes, alpha=0.6, label=family)
    panel.set(xlabel="multiply-accumulates per byte of the arguments", ylabel="GMAC/s, one thread")
    plain_numbers(panel.xaxis)
    plain_numbers(panel.yaxis)
    panel.set_title("Area: share of the frame's time")
    # Beside the points, never on them.
    legend = figure.legend(loc="outside lower center", ncols=2)
    for handle in legend.legend_handles:
        if handle is not None and hasattr(handle, "set_sizes"):
            handle.set_sizes([40])
    return figure


def plot_endings() -> list[str]:
    """Return the endings of files that :func:`write_roofline` can write, ".png" among them."""
    return sorted(f".{kind}" for kind in Figure().canvas.get_supported_filetypes())


def write_roofline(kernels: KernelsFile, path: Path) -> None:
    """Write the roofline of ``kernels`` as the picture ``path``.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic_path(path) as beside, chart_style():
        roofline(kernels).savefig(beside, dpi=110)
