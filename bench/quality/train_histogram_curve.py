"""Training of the network that chooses a curve by a histogram: data, loss and what it reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.quality.histogram_curve import (
    FEATURES,
    KNOTS,
    SCALE,
    STEP,
    histogram_features,
    plain_curve,
)
from compile.training.batches import random_batch
from compile.training.scenes.views import Place

# A view's field is the same at any size; a histogram needs no more.
_SIZE, _AT_ONCE = 96, 20
_HIDDEN, _DROPPED, _RATE, _DECAY, _BATCH = 128, 0.1, 1e-3, 1e-2, 256
# Error (50 dB) below which a picture is good enough; the weight of the square beside its logarithm.
_GOOD, _SQUARE_WEIGHT = 1e-5, 16.0


@dataclass(frozen=True)
class Pictures:
    """Pictures as far as a curve is concerned, in mu-law light.

    Attributes:
        features: of their histograms, float32 [N,324].
        wanted: mean light of the trusted pixels about each knot, float32 [N,64].
        shares: of the trusted pixels there, float32 [N,64].
        floor: mean square that no curve takes away, float32 [N].
    """

    features: Tensor
    wanted: Tensor
    shares: Tensor
    floor: Tensor

    @classmethod
    def random(
        cls, places: Sequence[Place], count: int, seed: int, advance: Callable[[], None]
    ) -> Pictures:
        """``count`` of :func:`compile.training.batches.random_batch`; the same ``seed`` gives the
        same ones. ``advance`` is called after each."""
        found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for first in range(0, count, _AT_ONCE):
            batch = random_batch(places, _SIZE, min(_AT_ONCE, count - first), (seed, first))
            for planes in zip(batch.photos, batch.targets, batch.trust, strict=True):
                found.append(_of_picture(*planes))
                advance()
        return cls(*(torch.stack(part) for part in zip(*found, strict=True)))

    def square(self, curves: Tensor) -> Tensor:
        """Mean square error of each picture by its curve of ``curves``, [N,64]: [N]."""
        return self.floor + (self.shares * (curves - self.wanted).square()).sum(1)

    def part(self, index: Tensor) -> Pictures:
        """Those of these numbers."""
        parts = (self.features, self.wanted, self.shares, self.floor)
        return Pictures(*(part[index] for part in parts))


class CurveByHistogram(nn.Module):
    """Two hidden layers from features [N,324] to curves in mu-law light [N,64]."""

    plain: Tensor

    def __init__(self) -> None:
        """With random weights; it begins at the inverse of sRGB's curve."""
        super().__init__()
        self.first = nn.Linear(FEATURES, _HIDDEN)
        self.second = nn.Linear(_HIDDEN, _HIDDEN)
        self.last = nn.Linear(_HIDDEN, KNOTS)
        nn.init.zeros_(self.last.weight)
        self.register_buffer("plain", torch.from_numpy(plain_curve().reshape(KNOTS, STEP).mean(1)))

    def forward(self, x: Tensor) -> Tensor:
        """The curves."""
        for layer in (self.first, self.second):
            x = nn.functional.dropout(layer(x).relu(), _DROPPED, self.training)
        return self.plain + SCALE * self.last(x)

    def tensors(self) -> dict[str, Tensor]:
        """Weights and biases as :mod:`bench.quality.histogram_curve` names them."""
        layers = enumerate((self.first, self.second, self.last))
        return {f"{n}.{name}": one for n, layer in layers for name, one in layer.named_parameters()}


def train_histogram_curve(
    pictures: Pictures, epochs: int, advance: Callable[[], None]
) -> CurveByHistogram:
    """Fit it to ``pictures``: the logarithm of each one's error, and the error. The rate falls by a
    cosine. ``advance`` is called after each epoch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = CurveByHistogram().train()
        optimizer = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=_DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
        for _ in range(epochs):
            for index in torch.randperm(len(pictures.floor)).split(_BATCH):
                some = pictures.part(index)
                error = some.square(net(some.features))
                loss = (error + _GOOD).log().mean() + _SQUARE_WEIGHT * error.mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            schedule.step()
            advance()
    return net.eval()


@torch.no_grad()
def decibels(net: CurveByHistogram, pictures: Pictures) -> tuple[float, float, float]:
    """Mean PSNR in mu-law light: of the inverse of sRGB's curve, of the curves of ``net``, and of
    the best curve of each picture."""
    errors = (
        pictures.square(net.plain.expand_as(pictures.wanted)),
        pictures.square(net(pictures.features)),
        pictures.floor,
    )
    plain, told, best = (float(-10 * (error + 1e-9).log10().mean()) for error in errors)
    return plain, told, best


def _of_picture(
    photo: Tensor, target: Tensor, trust: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    pixels = (photo * 255).round().to(torch.uint8)
    features = histogram_features(pixels.permute(1, 2, 0).numpy())
    knots = pixels.long().flatten() // STEP
    weights, y = trust.expand_as(target).flatten(), target.flatten()

    def summed(values: Tensor) -> Tensor:
        return torch.zeros(KNOTS).index_add_(0, knots, values)

    counts, sums = summed(weights), summed(weights * y)
    wanted, total = sums / counts.clamp_min(1e-6), counts.sum().clamp_min(1e-6)
    floor = ((weights * y * y).sum() - (wanted * sums).sum()) / total
    return torch.from_numpy(features), wanted, counts / total, floor.clamp_min(0)
