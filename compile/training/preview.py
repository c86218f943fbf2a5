"""A picture of random training pairs, to look at before hours are spent on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from compile.imaging.transfer import srgb_encode
from compile.support.atomic import atomic_path
from compile.training.pairs import random_pair
from compile.training.scenes.views import Place

_SIZE, _PAIRS_PER_ROW = 160, 5
_STOPS_DARKER = 3


def draw_pairs(places: Mapping[str, Place], seed: int, path: Path) -> None:
    """Write a PNG with one pair of every place: the photograph, beside it its light 3 stops
    darker, where what the photograph has clipped can be seen.

    Raises:
        OutputError: it cannot be written.
    """
    random = np.random.default_rng(seed)
    tiles = []
    for place in places.values():
        photo, light = random_pair(place, _SIZE, random)
        darker = np.rint(srgb_encode(light / 2**_STOPS_DARKER) * 255).astype(np.uint8)
        tiles.append(np.hstack([photo, darker]))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _PAIRS_PER_ROW)
    rows = [np.hstack(tiles[i : i + _PAIRS_PER_ROW]) for i in range(0, len(tiles), _PAIRS_PER_ROW)]
    with atomic_path(path) as beside:
        Image.fromarray(np.vstack(rows)).save(beside)
