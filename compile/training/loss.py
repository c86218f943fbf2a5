"""What training minimizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from compile.imaging.decode_hdr import H_MAX, H_MIN

# The paper's loss is L1 and cosine. L1 alone makes the median of what a pixel may have been: just
# above white for everything clipped. The square makes the mean, which is what a lamp needs; with a
# weight of 4 the network stayed behind the mean of all clipped pixels even on training scenes. Both
# leave it to the worst pictures of a batch what is learnt; the logarithm, which is what PSNR
# measures, lets an easy picture's error count for as much.
_COSINE_WEIGHT, _SQUARE_WEIGHT, _LOG_WEIGHT = 0.5, 16.0, 0.03
_DARKEST = 1e-3
# Squared error (40 dB) below which a picture is good enough.
_GOOD_SQUARE = 1e-4


@dataclass(frozen=True)
class Loss:
    """The loss of a batch and its terms, each a scalar over y = (H - H_MIN) / (H_MAX - H_MIN)."""

    total: Tensor
    l1: Tensor
    square: Tensor
    log_square: Tensor
    cosine: Tensor


def training_loss(output: Tensor, target: Tensor) -> Loss:
    """Of the network's ``output`` H against the ``target`` H, float32 [N,3,H,W].

    ``mean |e| + 16 mean e^2 + 0.03 mean ln(1 + 1e4 e_n) + 0.5 (1 - cos)``, with e in mu-law light
    y, e_n the mean of e^2 over picture n and cos the cosine between the colours of each pixel (the
    paper, section 3.4, without the squares).
    """
    y, wanted = ((h - H_MIN) / (H_MAX - H_MIN) for h in (output, target))
    error = y - wanted
    of_picture = error.square().mean((1, 2, 3))
    l1, square = error.abs().mean(), of_picture.mean()
    log_square = (of_picture / _GOOD_SQUARE).log1p().mean()
    alike = F.cosine_similarity(y.clamp_min(_DARKEST), wanted.clamp_min(_DARKEST), dim=1)
    cosine = 1 - alike.mean()
    total = l1 + _SQUARE_WEIGHT * square + _LOG_WEIGHT * log_square + _COSINE_WEIGHT * cosine
    return Loss(total, l1, square, log_square, cosine)


def mu_law_psnr(output: Tensor, target: Tensor) -> Tensor:
    """PSNR in dB of each picture, [N], in mu-law light y with peak 1."""
    error = (output - target) / (H_MAX - H_MIN)
    return -10 * torch.log10(error.square().mean((1, 2, 3)))
