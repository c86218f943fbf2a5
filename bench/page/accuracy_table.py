"""Where the accuracy of a build goes, layer by layer, as tables and a figure."""

from __future__ import annotations

from math import isinf

import pandas as pd
from matplotlib.figure import Figure

from bench.page.drawing import OURS, new_chart
from device.client.layers.layer_report import LayerReport, OwnAndAccumulated

_BARS = 12


def accuracy_table(report: LayerReport) -> pd.DataFrame:
    """A line for each tensor that is compared, in the order of computation, all as text."""
    lines = [
        {
            "layer": name,
            "kernel": layer.kernel,
            "quantized": _both(layer.quantized),
            "compiled": _both(layer.compiled),
            "compiled to quantized": _both(layer.lowered),
            "saturated": "" if layer.saturated is None else f"{layer.saturated:.2%}",
            "share of error": "" if layer.share is None else f"{layer.share:z.1%}",
        }
        for name, layer in zip(report.names, report.layers, strict=True)
        if layer.quantized or layer.lowered
    ]
    return pd.DataFrame(lines)


def details_table(report: LayerReport) -> pd.DataFrame:
    """A line for each tensor that a kernel makes, with the errors that are no SQNR: of the compiled
    network to float32 where that is known, all as text."""
    lines = []
    for name, layer in zip(report.names, report.layers, strict=True):
        errors = layer.compiled or layer.lowered
        if errors is None:
            continue
        found = errors.accumulated
        lines.append(
            {
                "layer": name,
                "tensor": layer.tensor,
                "shape": "x".join(map(str, layer.shape)),
                "scale": "" if layer.scale is None else f"{layer.scale:.4g}",
                "zero point": "" if layer.zero_point is None else str(layer.zero_point),
                "PSNR dB": "=" if isinf(found.psnr) else f"{found.psnr:.1f}",
                "cosine": f"{found.cosine:.6f}",
                "largest": f"{found.largest:.3g}",
                "differing": "" if layer.differing is None else f"{layer.differing:.2%}",
                "steps": "" if layer.steps is None else str(layer.steps),
            }
        )
    return pd.DataFrame(lines)


def error_shares(report: LayerReport) -> Figure:
    """The tensors that most of the network's error is made in."""
    layers = zip(report.names, report.layers, strict=True)
    known = [(layer.share, name) for name, layer in layers if layer.share is not None]
    first = sorted(known, reverse=True)[:_BARS]
    figure, panel = new_chart(0.6 + 0.22 * len(first), 7)
    bars = panel.barh(range(len(first)), [100 * share for share, _ in first], color=OURS)
    panel.bar_label(bars, [f"{share:z.1%}" for share, _ in first], padding=3)
    panel.set_yticks(range(len(first)), [name for _, name in first])
    panel.set_ylim(len(first) - 0.4, -0.6)
    panel.margins(x=0.12)
    panel.set_xlabel("%")
    return figure


def _both(errors: OwnAndAccumulated | None) -> str:
    if errors is None:
        return ""
    pair = errors.own.sqnr, errors.accumulated.sqnr
    return " / ".join("=" if isinf(one) else f"{one:.1f}" for one in pair)
