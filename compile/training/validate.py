"""How well a network does on fixed pairs, beside the best global tone curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from compile.imaging.decode_hdr import mu_law
from compile.training.light_code import mu_law_of_output
from compile.training.pairs import Pair, as_batch

CLIPPED = 250
"""A pixel counts as clipped from this value on in its brightest channel."""


class Validation:
    """Fixed pairs, ready to be run."""

    def __init__(self, pairs: Sequence[Pair], curve: np.ndarray) -> None:
        """Of ``pairs`` of one size, with a curve to compare with: linear light by a pixel's value,
        float32 [256]."""
        self._photos, self._targets = as_batch(pairs)
        bytes_ = (self._photos * 255).round().long()
        self._clipped = (bytes_.amax(1, keepdim=True) >= CLIPPED).expand_as(self._targets)
        self.of_curve = self._score(torch.from_numpy(mu_law(curve))[bytes_])

    def score(self, net: nn.Module) -> tuple[float, float]:
        """Mean mu-law PSNR over the pairs, and PSNR over all clipped pixels, both in dB."""
        device = next(net.parameters(), self._photos).device
        with torch.inference_mode():
            outputs = [net(photo[None].to(device)).cpu() for photo in self._photos]
        return self._score(mu_law_of_output(torch.cat(outputs)).clamp(0, 1))

    def _score(self, light: Tensor) -> tuple[float, float]:
        square = (light - self._targets).square()
        of_pictures, of_clipped = square.mean((1, 2, 3)), square[self._clipped].mean()
        return float(-10 * of_pictures.log10().mean()), float(-10 * of_clipped.log10())
