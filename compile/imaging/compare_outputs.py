"""How far what a network gives is from what PyTorch computes in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from compile.imaging.decode_hdr import decode_hdr, mu_law
from compile.imaging.metrics import psnr
from compile.support.frame import Frame, picture_of


def compare_pictures(
    outputs: Frame,
    reference: Frame,
    decode: Callable[[np.ndarray], np.ndarray] = decode_hdr,
) -> float:
    """PSNR in dB of a picture in mu-law light, which ``decode`` makes linear light of."""
    return psnr(mu_law(decode(picture_of(outputs))), mu_law(decode(picture_of(reference))))


def compare_tensors(outputs: Frame, reference: Frame) -> float:
    """Signal to quantization noise in dB, of all tensors together: 10 log10 of the reference's sum
    of squares over that of the difference."""
    pairs = list(zip(outputs, reference, strict=True))
    signal = sum(float(np.square(exact, dtype=np.float64).sum()) for _, exact in pairs)
    noise = sum(float(np.square(exact.astype(np.float64) - found).sum()) for found, exact in pairs)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.float64(signal) / noise))
