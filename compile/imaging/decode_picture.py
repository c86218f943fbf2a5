"""What the picture that a network makes means, as linear light."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from compile.imaging.decode_hdr import decode_hdr
from compile.imaging.transfer import srgb_decode


def _linear(output: np.ndarray) -> np.ndarray:
    return output


def _srgb(output: np.ndarray) -> np.ndarray:
    return srgb_decode(output).astype(np.float32)


DECODERS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "mqnet": decode_hdr,
    "linear": _linear,
    "srgb": _srgb,
}
"""From a network's output, float32 of any shape, to linear light, of which 1 is white: "mqnet" is
MQNet's own, "linear" is that light, "srgb" values from 0 to 1 for a screen."""
