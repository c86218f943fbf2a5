"""How far a tensor is from what it should be."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf, isfinite, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compile.imaging.metrics import psnr

# Of a tensor of zeros; a ratio to it would be no number that JSON has.
_LEAST = 1e-30


@dataclass(frozen=True)
class TensorErrors:
    """Of one tensor to another.

    Attributes:
        sqnr: signal to quantization noise in dB: the energy of what is wanted to that of the
            difference.
        psnr: peak signal to noise in dB; the peak is the range of what is wanted.
        cosine: of the angle between the two.
        largest: difference of two values.
    """

    sqnr: float
    psnr: float
    cosine: float
    largest: float

    def as_json(self) -> dict[str, float | None]:
        """Return plain data, with null for a ratio that is infinite since nothing differs."""
        return {name: one if isfinite(one) else None for name, one in asdict(self).items()}

    @staticmethod
    def restored(content: dict[str, Any]) -> dict[str, Any]:
        """``content``, with the infinity that :meth:`as_json` has no number for, where it is of
        such errors."""
        if content.keys() != TensorErrors.__dataclass_fields__.keys():
            return content
        return {name: inf if one is None else one for name, one in content.items()}


def compare_tensors(found: NDArray[Any], wanted: NDArray[Any]) -> TensorErrors:
    """Compare ``found`` with ``wanted``, of the same shape."""
    ours, theirs = (one.astype(np.float64).reshape(-1) for one in (found, wanted))
    difference = np.subtract(ours, theirs)
    noise, energy = float(difference @ difference), float(theirs @ theirs)
    peak = float(np.ptp(theirs)) or float(np.abs(theirs).max(initial=0.0)) or 1.0
    lengths = float(np.sqrt(ours @ ours) * np.sqrt(energy))
    return TensorErrors(
        inf if noise == 0 else 10 * log10(max(energy, _LEAST) / noise),
        psnr(ours, theirs, peak),
        float(ours @ theirs) / lengths if lengths else float(noise == 0),
        float(np.abs(difference).max(initial=0.0)),
    )
