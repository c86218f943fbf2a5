"""A picture with one strip per scene: photograph, every scheme, the truth, and the error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from bench.quality.evaluate import Light
from compile.imaging.decode_hdr import mu_law
from compile.imaging.tone_map import tone_map
from compile.support.atomic import atomic_path
from compile.training.pairs import Pair

_INCHES, _DPI = 1.7, 150
_LARGEST_ERROR = 0.2


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
    titles = ["photograph", *columns, "truth", f"error of {judged}"]
    size = (_INCHES * len(titles), _INCHES * len(pairs) + 0.3)
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.subplots(len(pairs), len(titles), squeeze=False)
    for row, (name, (photo, truth)) in enumerate(pairs.items()):
        error = np.abs(mu_law(columns[judged][row]) - mu_law(truth)).max(-1)
        heat = matplotlib.colormaps["magma"](np.minimum(error / _LARGEST_ERROR, 1))
        pictures = [photo, *(tone_map(c[row]) for c in columns.values()), tone_map(truth), heat]
        for axis, picture in zip(axes[row], pictures, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
        axes[row][0].set_ylabel(name, fontsize=6)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=7)
    with atomic_path(path) as beside:
        figure.savefig(beside)
