"""What was measured of the layers, as a table on a terminal."""

from __future__ import annotations

from math import isinf
from pathlib import Path

from rich.table import Table

from compile.support.tables import print_table
from device.client.layers.layer_report import Layer, LayerReport, OwnAndAccumulated

_WORST = 5


def print_layers(folder: Path, report: LayerReport) -> None:
    """Print ``report``, of the build in ``folder``, to stdout."""
    if report.failed:
        print(f"WRONG: {report.failed}")
        return
    table = Table(
        title=f"{folder} on {report.machine}: SQNR in dB, own / accumulated",
        caption="own: from exact inputs; =: nothing differs; share: of the error of the outputs to "
        "float32",
    )
    for name in ("call", "kernel", "layer", "tensor"):
        table.add_column(name)
    for name in (
        *("quantized to float32", "compiled to float32", "compiled to quantized"),
        *("share of error", "saturated", "scale", "zero point"),
    ):
        table.add_column(name, justify="right")
    for layer in report.layers:
        table.add_row(
            str(layer.place) if layer.place >= 0 else "",
            layer.kernel,
            layer.name,
            layer.tensor,
            *map(_ratios, (layer.quantized, layer.compiled, layer.lowered)),
            "" if layer.share is None else f"{layer.share:.1%}",
            "" if layer.saturated is None else f"{layer.saturated:.2%}",
            "" if layer.scale is None else f"{layer.scale:.4g}",
            "" if layer.zero_point is None else str(layer.zero_point),
            style="bold red" if layer.is_off else None,
        )
    print_table(table)
    for layer in report.worst[:_WORST]:
        print(f"{layer.share or 0:6.1%} of the error is made in {layer.name} ({layer.tensor})")
    first = report.first_off
    if first is None:
        print("right: every kernel computes what the fake-quantized network does")
        return
    print(
        f"WRONG: call {first.place}, kernel {first.kernel}, which computes "
        f"{', '.join(first.layers)}: {differing_of(first)}; kept in {report.kept}"
    )


def differing_of(layer: Layer) -> str:
    """How much of a tensor differs from the fake-quantized network's, and by how much."""
    if layer.differing is None or layer.lowered is None:
        return "it was not called"
    most = layer.lowered.own.largest
    steps = f"{layer.steps} steps" if layer.steps is not None else f"{most:.4g}"
    return f"{layer.differing:.2%} of its values differ from exact inputs, by {steps} at most"


def _ratios(errors: OwnAndAccumulated | None) -> str:
    if errors is None:
        return ""
    return " / ".join(
        "=" if isinf(one.sqnr) else f"{one.sqnr:.1f}" for one in (errors.own, errors.accumulated)
    )
