"""Where the accuracy of a build goes, layer by layer, as a table and a figure."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pandas as pd
from matplotlib.figure import Figure

from compile.support.json_record import read_record
from device.client.layers.layer_report import FORMAT

_BARS = 12


class Ratios(msgspec.Struct, frozen=True):
    """Of one tensor to another, in dB; None where nothing differs."""

    sqnr: float | None
    psnr: float | None


class LayerErrors(msgspec.Struct, frozen=True):
    """From exact inputs, and with the errors of all that is before the tensor."""

    own: Ratios
    accumulated: Ratios


class MeasuredLayer(msgspec.Struct, frozen=True):
    """Of :class:`device.client.layers.layer_report.Layer` what a report shows."""

    tensor: str
    modules: tuple[str, ...]
    layers: tuple[str, ...]
    kernel: str
    share: float | None
    saturated: float | None
    quantized: LayerErrors | None
    compiled: LayerErrors | None
    lowered: LayerErrors | None


class LayersFile(msgspec.Struct, frozen=True):
    """What ``compile/check.py --layers --json`` has printed."""

    machine: str
    scheme: str
    layers: tuple[MeasuredLayer, ...]


def read_layers(path: Path) -> LayersFile:
    """Return the file at ``path``.

    Raises:
        MqnetError: it is missing, truncated, of another format, or holds something else.
    """
    remedy = "write it again with compile/check.py --layers --json"
    return read_record(path, LayersFile, FORMAT, remedy)


def accuracy_table(file: LayersFile) -> pd.DataFrame:
    """A line for each tensor that is compared, in the order of computation, all as text."""
    lines = [
        {
            "layer": _name(layer),
            "kernel": layer.kernel,
            "quantized": _both(layer.quantized),
            "compiled": _both(layer.compiled),
            "compiled to quantized": _both(layer.lowered),
            "saturated": "" if layer.saturated is None else f"{layer.saturated:.2%}",
            "share of error": "" if layer.share is None else f"{layer.share:.1%}",
        }
        for layer in file.layers
        if layer.quantized or layer.lowered
    ]
    return pd.DataFrame(lines)


def error_shares(file: LayersFile) -> Figure:
    """The tensors that most of the network's error is made in."""
    known = [(layer.share, _name(layer)) for layer in file.layers if layer.share is not None]
    first = sorted(known, reverse=True)[:_BARS][::-1]
    figure = Figure(figsize=(9, 0.8 + 0.32 * len(first)), layout="constrained")
    panel = figure.subplots()
    # Modules may have several tensors, each with a bar of its own.
    panel.barh(range(len(first)), [100 * share for share, _ in first], color="tab:orange")
    panel.set_yticks(range(len(first)), [name for _, name in first])
    panel.set_xlabel("% of the squared error of the outputs to float32 that is made here")
    return figure


def _name(layer: MeasuredLayer) -> str:
    return (layer.modules or layer.layers or (layer.tensor,))[-1]


def _both(errors: LayerErrors | None) -> str:
    if errors is None:
        return ""
    pair = errors.own.sqnr, errors.accumulated.sqnr
    return " / ".join("=" if one is None else f"{one:.1f}" for one in pair)
