"""Draws the values of a tensor: in float32, fake-quantized and compiled."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.support.atomic import write_atomically
from device.client.layers.layer_report import Layer

_BINS = 256
_INT8 = -128, 127


def draw_histogram(layer: Layer, values: Mapping[str, NDArray[Any]], file: Path) -> None:
    """Draw the histograms of ``values``, by what has computed them, of the tensor of ``layer`` into
    the PNG ``file``, with the limits of what its integers can hold.

    Raises:
        OutputError: it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    everything = np.concatenate([one.ravel() for one in values.values()])
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    if layer.scale is not None:
        # A step of the integers is a bin: others would hold two steps or none.
        first, last = np.floor(low / layer.scale), np.ceil(high / layer.scale)
        edges = layer.scale * (np.arange(first, last + 2) - 0.5)
    for name, one in values.items():
        axes.stairs(np.histogram(one, edges)[0], edges, label=name)
    if layer.scale is not None and layer.zero_point is not None:
        for end in _INT8:
            at = (end - layer.zero_point) * layer.scale
            axes.axvline(at, color="grey", linestyle="--", label=f"int8 {end}")
    axes.set_yscale("log")
    axes.set_xlabel("value")
    axes.set_ylabel("how many")
    axes.set_title(f"{layer.tensor} of {', '.join(layer.modules or layer.layers)}")
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=150)
    write_atomically(file, picture.getvalue())
