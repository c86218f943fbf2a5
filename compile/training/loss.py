"""What training minimizes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from compile.training.batches import Batch
from compile.training.light_code import mu_law_of_output

# The paper's loss is L1 and cosine. L1 alone makes the median of what a pixel may have been: just
# above white for everything clipped. The square makes the mean, which is what a lamp needs; with a
# weight of 4 the network stayed behind the mean of all clipped pixels even on training scenes. Both
# leave it to the worst pictures of a batch what is learnt; the logarithm, which is what PSNR
# measures, lets an easy picture's error count for as much.
_COSINE_WEIGHT, _SQUARE_WEIGHT, _LOG_WEIGHT = 0.5, 16.0, 0.1
# Slopes make a disc round and smooth. Ratios between channels make white white, most of all where
# one or two channels are clipped and the photograph's own colour is wrong.
_SLOPE_WEIGHT, _RATIO_WEIGHT, _HALF_CLIPPED_WEIGHT, _IDENTITY_WEIGHT = 0.5, 1.0, 0.5, 4.0
_DARKEST = 1e-3
# Squared error (45 dB) below which a picture is good enough.
_GOOD_SQUARE = 3e-5
# A channel counts as clipped from this value on; around what is clipped, this far.
_CLIPPED, _AROUND = 250 / 255, 9
_SCALES = 3
# Of all pixels: fewer clipped ones than that do not count for more.
_LEAST_SHARE = 0.02


@dataclass(frozen=True)
class Loss:
    """The loss of a batch and its terms, each a scalar over the mu-law light y of H.

    In light above 1, y is the light's logarithm.

    Attributes:
        total: the sum of the others by their weights.
        l1, square: mean error of y, mean square of it.
        log_square: mean over pictures of the logarithm of their mean square.
        cosine: one less the cosine between the colours of a pixel.
        slope: in and about clipped areas, the error of y's slope at three scales.
        ratio: the error of y's differences between channels: of the logarithm of light's ratios.
        half_clipped: that where one or two channels are clipped.
        identity: mean error of y where nothing is clipped, of photographs of plain cameras.
    """

    total: Tensor
    l1: Tensor
    square: Tensor
    log_square: Tensor
    cosine: Tensor
    slope: Tensor
    ratio: Tensor
    half_clipped: Tensor
    identity: Tensor

    def terms(self) -> Tensor:
        """All of them, float32 [9], in the order of :data:`TERMS`."""
        return torch.stack([getattr(self, name) for name in TERMS]).detach()


TERMS = tuple(Loss.__dataclass_fields__)
"""Their names, the total first."""


def training_loss(output: Tensor, batch: Batch) -> Loss:
    """Of the network's ``output`` H, float32 [N,3,H,W], for ``batch``.

    ``mean |e| + 16 mean e^2 + 0.1 mean ln(1 + e_n / 3e-5) + 0.5 (1 - cos)``, with e in mu-law light
    y, e_n the mean of e^2 over picture n and cos the cosine between the colours of each pixel (the
    paper, section 3.4, without the squares), and the terms that :class:`Loss` names by their
    weights. Pixels that cannot be trusted count in none of them.
    """
    y, wanted = mu_law_of_output(output), batch.targets
    trust = batch.trust
    error = (y - wanted) * trust
    trusted = trust.mean((1, 2, 3)).clamp_min(_LEAST_SHARE)
    of_picture = error.square().mean((1, 2, 3)) / trusted
    l1, square = error.abs().mean() / trusted.mean(), of_picture.mean()
    log_square = (of_picture / _GOOD_SQUARE).log1p().mean()
    cosine = _mean(1 - _cosine(y.clamp_min(_DARKEST), wanted.clamp_min(_DARKEST)), trust)
    clipped = batch.photos >= _CLIPPED
    any_clipped = clipped.any(1, keepdim=True).float()
    half = any_clipped * (1 - clipped.all(1, keepdim=True).float())
    of_ratios = (error - error.mean(1, keepdim=True)).abs().mean(1, keepdim=True)
    plain = batch.plain.to(trust.device).float()[:, None, None, None]
    loss = {
        "l1": l1,
        "square": square,
        "log_square": log_square,
        "cosine": cosine,
        "slope": _error_of_slopes(error, _widened(any_clipped)),
        "ratio": _mean(of_ratios, trust),
        "half_clipped": _mean(of_ratios, half * trust),
        "identity": _mean(error.abs().mean(1, keepdim=True), (1 - any_clipped) * plain * trust),
    }
    return Loss(total=sum((_WEIGHTS[name] * term for name, term in loss.items()), l1 * 0), **loss)


_WEIGHTS = {
    "l1": 1.0,
    "square": _SQUARE_WEIGHT,
    "log_square": _LOG_WEIGHT,
    "cosine": _COSINE_WEIGHT,
    "slope": _SLOPE_WEIGHT,
    "ratio": _RATIO_WEIGHT,
    "half_clipped": _HALF_CLIPPED_WEIGHT,
    "identity": _IDENTITY_WEIGHT,
}


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Of ``values`` [N,1,H,W] by ``weights`` of that shape; few of them count for no more."""
    return (values * weights).mean() / weights.mean().clamp_min(_LEAST_SHARE)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """Between the colours of each pixel of two [N,3,H,W], [N,1,H,W]. torch's own takes three times
    as long over so few channels."""
    products = (a * b).sum(1, keepdim=True)
    squares = a.square().sum(1, keepdim=True) * b.square().sum(1, keepdim=True)
    return products * squares.rsqrt()


def _widened(mask: Tensor) -> Tensor:
    """``mask`` [N,1,H,W] and all within half of ``_AROUND`` pixels: rows, then columns."""
    rows = F.max_pool2d(mask, (_AROUND, 1), 1, (_AROUND // 2, 0))
    return F.max_pool2d(rows, (1, _AROUND), 1, (0, _AROUND // 2))


def _error_of_slopes(error: Tensor, where: Tensor) -> Tensor:
    """Mean difference of ``error`` [N,3,H,W] between neighbours, in both directions, summed over
    scales of 1, 2 and 4 pixels, where ``where`` [N,1,H,W] is 1."""
    total = error.new_zeros(())
    for scale in range(_SCALES):
        if scale:
            error, where = F.avg_pool2d(error, 2), F.avg_pool2d(where, 2)
        down, right = error.diff(dim=2).abs(), error.diff(dim=3).abs()
        total = total + _mean(down.mean(1, keepdim=True), where[:, :, 1:])
        total = total + _mean(right.mean(1, keepdim=True), where[..., 1:])
    return total
