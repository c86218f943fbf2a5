"""The best that one curve for all photographs can do: the bar for every network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compile.imaging.decode_hdr import encode_hdr
from compile.training.pairs import Pair


def fit_tone_curve(pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """float32 [256]: for each value of a pixel the mean target H, made monotonic.

    The mean is what minimizes the squared error in mu-law light; values that no pixel has are
    interpolated.
    """
    values = np.concatenate([photo.ravel() for photo, _ in pairs])
    targets = np.concatenate([encode_hdr(light).ravel() for _, light in pairs])
    sums = np.bincount(values, targets, 256)
    counts = np.bincount(values, minlength=256)
    seen = np.flatnonzero(counts)
    curve = np.interp(np.arange(256), seen, sums[seen] / counts[seen])
    return np.maximum.accumulate(curve).astype(np.float32)
