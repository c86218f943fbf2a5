"""The best that one curve for all photographs can do: the bar for every network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compile.imaging.decode_hdr import inverse_mu_law, mu_law
from compile.training.pairs import Pair


def fit_tone_curve(pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """float32 [256]: for each value of a pixel the linear light whose mu-law light is the mean of
    what was wanted there, made monotonic.

    The mean is what minimizes the squared error in mu-law light; values that no pixel has are
    interpolated.
    """
    values = np.concatenate([photo.ravel() for photo, _ in pairs])
    targets = np.concatenate([mu_law(light).ravel() for _, light in pairs])
    sums = np.bincount(values, targets, 256)
    counts = np.bincount(values, minlength=256)
    seen = np.flatnonzero(counts)
    curve = np.interp(np.arange(256), seen, sums[seen] / counts[seen])
    return inverse_mu_law(np.maximum.accumulate(curve))
