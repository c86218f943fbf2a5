"""Seeded weights: which deviations, and that they are the same again."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from compile.networks.he_weights import fill_he_weights, start
from compile.networks.layers import divided


@pytest.mark.parametrize(
    ("layer", "mean_square"),
    [
        (nn.Conv2d(64, 96, 3, padding=1), 1.0),
        (nn.Conv2d(64, 64, 3, padding=1, groups=64), 1.0),
        (nn.ConvTranspose2d(64, 48, 2, 2), 1.0),
        (nn.ConvTranspose2d(64, 48, 4, 2, 1), 1.0),
        (start(nn.Conv2d(64, 96, 1)), 0.5),
        (start(nn.Conv2d(64, 96, 1), gain=0.5), 0.125),
    ],
)
def test_features_keep_their_size(layer: nn.Module, mean_square: float) -> None:
    """Mean square behind a ReLU, of an input with mean square 1."""
    fill_he_weights(layer)
    x = torch.randn(4, 64, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        output = layer(x)[..., 2:-2, 2:-2].relu()
    assert output.square().mean() == pytest.approx(mean_square, rel=0.15)


def test_weights_depend_on_the_seed_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 4, 2))
        fill_he_weights(net, seed)
        return torch.cat([parameter.flatten() for parameter in net.parameters()])

    first = weights(0)
    torch.manual_seed(5)
    assert torch.equal(first, weights(0)) and not torch.equal(first, weights(1))


def test_a_bias_that_starts_elsewhere() -> None:
    conv = start(nn.Conv2d(3, 4, 1), gain=0.1, bias=1.0)
    assert torch.equal(fill_he_weights(conv).bias, torch.ones(4))


def test_divided_widths() -> None:
    assert [divided(c, 8) for c in (16, 64, 100)] == [4, 8, 12] and divided(2, 1) == 2
