"""What the picture that a network makes means, as linear light."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from compile.imaging.decode_hdr import decode_hdr, decode_log2
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


LOG2_DECODERS: Mapping[str, Callable[[NDArray[np.float32], float], NDArray[np.float32]]] = {
    "extended_srgb": decode_log2
}
"""Of those that have a shorter way: to the logarithm of that light and an offset."""


def smooth_picture(decoding: str, output: NDArray[np.float32], frame: NDArray[np.uint8]) -> None:
    """Smooth in place what a network gives, [H,W,3], for ``frame`` of that shape: of MQNet what is
    blown in it (:func:`compile.imaging.smooth_blown.smooth_blown`); of others, by their
    ``decoding``, nothing."""
    if decoding == "extended_srgb":
        smooth_blown(output, frame)


def finished_part(
    decoding: str, output: NDArray[np.float32], frame: NDArray[np.uint8], placement: Placement
) -> NDArray[np.float32]:
    """Of what a network of that ``decoding`` gives for ``frame``, and which is smoothed in place,
    the part of the photograph that has a ``placement`` in it."""
    smooth_picture(decoding, output, frame)
    return unfit(output, placement)


def light_of(
    decoding: str, output: NDArray[np.float32], frame: NDArray[np.uint8], placement: Placement
) -> NDArray[np.float32]:
    """Linear light of :func:`finished_part`."""
    return DECODERS[decoding](finished_part(decoding, output, frame, placement))
