"""What the picture that a network makes means, as linear light."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from compile.imaging.decode_hdr import decode_hdr
from compile.imaging.fit_size import Placement, unfit
from compile.imaging.smooth_blown import smooth_blown
from compile.imaging.transfer import srgb_decode


def _linear(output: np.ndarray) -> np.ndarray:
    return output


def _srgb(output: np.ndarray) -> np.ndarray:
    return srgb_decode(output).astype(np.float32)


DECODERS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "extended_srgb": decode_hdr,
    "linear": _linear,
    "srgb": _srgb,
}
"""From a network's output, float32 of any shape, to linear light, of which 1 is white:
"extended_srgb" is MQNet's own, "linear" is that light, "srgb" values from 0 to 1 for a screen."""


def smooth_picture(decoding: str, output: NDArray[np.float32], frame: NDArray[np.uint8]) -> None:
    """Smooth in place what a network gives, [H,W,3], for ``frame`` of that shape: of MQNet what is
    blown in it (:func:`compile.imaging.smooth_blown.smooth_blown`); of others, by their
    ``decoding``, nothing."""
    if decoding == "extended_srgb":
        smooth_blown(output, frame)


def light_of(
    decoding: str, output: NDArray[np.float32], frame: NDArray[np.uint8], placement: Placement
) -> NDArray[np.float32]:
    """Linear light of the photograph that has a ``placement`` in ``frame``: of what a network of
    that ``decoding`` gives for it, which is smoothed in place."""
    smooth_picture(decoding, output, frame)
    return DECODERS[decoding](unfit(output, placement))
