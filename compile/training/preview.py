"""A picture of random training pairs, to look at before hours are spent on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from compile.imaging.decode_hdr import inverse_mu_law
from compile.imaging.transfer import srgb_encode
from compile.support.atomic import atomic_path
from compile.training.batches import random_batch
from compile.training.scenes.views import Place

_SIZE, _PAIRS_PER_ROW = 160, 5
_STOPS_DARKER = 3
_DISTRUSTED = np.array([1, 0, 1], np.float32)


def draw_pairs(places: Mapping[str, Place], seed: int, path: Path) -> None:
    """Write a PNG with one pair of every place: the photograph, beside it its light 3 stops
    darker, where what the photograph has clipped can be seen; pixels that nothing is learnt from
    are magenta.

    Raises:
        OutputError: it cannot be written.
    """
    tiles = []
    for number, place in enumerate(places.values()):
        batch = random_batch([place], _SIZE, 1, (seed, number))
        photo, target, trust = (
            planes[0].permute(1, 2, 0).numpy()
            for planes in (batch.photos, batch.targets, batch.trust)
        )
        darker = srgb_encode(inverse_mu_law(target) / 2**_STOPS_DARKER)
        pair = np.hstack([photo, np.where(trust > 0, darker, _DISTRUSTED)])
        tiles.append(np.rint(pair * 255).astype(np.uint8))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % _PAIRS_PER_ROW)
    rows = [np.hstack(tiles[i : i + _PAIRS_PER_ROW]) for i in range(0, len(tiles), _PAIRS_PER_ROW)]
    with atomic_path(path) as beside:
        Image.fromarray(np.vstack(rows)).save(beside)
