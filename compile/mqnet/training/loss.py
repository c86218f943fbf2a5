"""What training minimizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from compile.imaging.decode_hdr import H_MAX, H_MIN

# The paper's loss is L1 and cosine. L1 alone makes the median of what a pixel may have been: just
# above white for everything clipped. The square makes the mean, which is what a lamp needs; with a
# weight of 4 the network stayed behind the mean of all clipped pixels even on training scenes.
_COSINE_WEIGHT, _SQUARE_WEIGHT = 0.5, 16.0
_DARKEST = 1e-3


@dataclass(frozen=True)
class Loss:
    """The loss of a batch and its terms, each a scalar over y = (H - H_MIN) / (H_MAX - H_MIN)."""

    total: Tensor
    l1: Tensor
    square: Tensor
    cosine: Tensor


def training_loss(output: Tensor, target: Tensor) -> Loss:
    """Of the network's ``output`` H against the ``target`` H, float32 [N,3,H,W].

    ``mean |e| + 16 mean e^2 + 0.5 (1 - cos)``, with e in mu-law light y and cos the cosine between
    the colours of each pixel (the paper, section 3.4, without the square).
    """
    y, wanted = ((h - H_MIN) / (H_MAX - H_MIN) for h in (output, target))
    error = y - wanted
    l1, square = error.abs().mean(), error.square().mean()
    alike = F.cosine_similarity(y.clamp_min(_DARKEST), wanted.clamp_min(_DARKEST), dim=1)
    cosine = 1 - alike.mean()
    return Loss(l1 + _SQUARE_WEIGHT * square + _COSINE_WEIGHT * cosine, l1, square, cosine)


def mu_law_psnr(output: Tensor, target: Tensor) -> Tensor:
    """PSNR in dB of each picture, [N], in mu-law light y with peak 1."""
    error = (output - target) / (H_MAX - H_MIN)
    return -10 * torch.log10(error.square().mean((1, 2, 3)))
