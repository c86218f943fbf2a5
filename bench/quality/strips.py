"""Pictures with one row per scene: every scheme beside the truth, and the same two and four stops
darker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.quality.evaluate import Light
from compile.imaging.decode_hdr import mu_law
from compile.imaging.tone_map import to_srgb8, tone_map
from compile.imaging.transfer import srgb_decode
from compile.support.atomic import atomic_path
from compile.training.pairs import Pair

_INCHES, _DPI = 1.7, 150
_LARGEST_ERROR = 0.2
_STOPS = (0, 2, 4)


def draw_strips(
    path: Path,
    pairs: Mapping[str, Pair],
    columns: Mapping[str, Sequence[Light]],
    judged: str,
) -> None:
    """Write a PNG with a row for each of ``pairs`` and a column for each of ``columns`` (light for
    every pair, in their order), tone-mapped; last the truth and the mu-law error of ``judged``.

    Raises:
        OutputError: it cannot be written.
    """
    rows = []
    for row, (photo, truth) in enumerate(pairs.values()):
        error = np.abs(mu_law(columns[judged][row]) - mu_law(truth)).max(-1)
        heat = matplotlib.colormaps["magma"](np.minimum(error / _LARGEST_ERROR, 1))
        rows.append([photo, *(tone_map(c[row]) for c in columns.values()), tone_map(truth), heat])
    _draw(path, ["photograph", *columns, "truth", f"error of {judged}"], list(pairs), rows)


def draw_stops(path: Path, pairs: Mapping[str, Pair], lights: Sequence[Light]) -> None:
    """Write a PNG with a row for each of ``pairs``: its photograph by sRGB's curve, its light of
    ``lights`` and the truth, as they are, two and four stops darker, each clipped at white.

    Raises:
        OutputError: it cannot be written.
    """
    names = "photograph", "network", "truth"
    titles = [f"{name}, -{stops} stops" if stops else name for stops in _STOPS for name in names]
    rows = []
    for (photo, truth), light in zip(pairs.values(), lights, strict=True):
        shown = srgb_decode(photo.astype(np.float32) / 255), light, truth
        rows.append([to_srgb8(one / 2.0**stops) for stops in _STOPS for one in shown])
    _draw(path, titles, list(pairs), rows)


def _draw(
    path: Path, titles: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[NDArray]]
) -> None:
    size = (_INCHES * len(titles), _INCHES * len(names) + 0.3)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.subplots(len(names), len(titles), squeeze=False)
    for of_row, name, pictures in zip(axes, names, rows, strict=True):
        for axis, picture in zip(of_row, pictures, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        of_row[0].set_ylabel(name, fontsize=6)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=7)
    with atomic_path(path) as beside:
        figure.savefig(beside)
