"""The masked network against its size, and its masks against the published division."""

from __future__ import annotations

import pytest
import torch
from network_checks import (
    check_gmacs,
    check_outputs,
    count,
    draw_all,
    gmacs_by_module,
    on_meta_device,
    run,
)
from torch import Tensor, nn
from torch.nn import functional as F

from compile.networks.masked_features import MaskedFeatures


def test_published_size() -> None:
    net = on_meta_device(MaskedFeatures)
    assert count(net, trained_only=True) == 25_770_964
    unused_mask = 67 * 3 * 3 * 3
    assert count(net) + unused_mask == 51_541_925
    check_gmacs(net, 18.83)
    check_gmacs(net, 282.4, 768, 1280)


def test_masks_take_half_of_the_work() -> None:
    net = on_meta_device(MaskedFeatures)
    gmacs = gmacs_by_module(net, 256, 256)
    of_masks = sum(value for path, value in gmacs.items() if path.endswith(".mask"))
    assert gmacs[""] - of_masks == pytest.approx(9.47, abs=0.005)


def test_outputs() -> None:
    check_outputs(MaskedFeatures(16), 128)


def test_a_channel_that_is_not_saturated_is_squared() -> None:
    net = draw_all(MaskedFeatures(32))
    image = torch.rand(1, 3, 128, 128) * 0.95
    torch.testing.assert_close(run(net, image), image.square(), rtol=0, atol=1e-6)
    image[0, 1, 3, 5] = 1.0
    changed = (run(net, image) - image.square()).abs()[0] > 1e-5
    assert changed.nonzero().tolist() == [[1, 3, 5]]


def masked_conv(conv: nn.Conv2d, u: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    """As published: features times their mask, and a mask divided at run time."""
    stride, padding = conv.stride, conv.padding
    magnitudes = conv.weight.abs()
    mask = F.conv2d(m, magnitudes, None, stride, padding)
    mask = mask / (magnitudes.sum((1, 2, 3))[:, None, None] + 1e-6)
    return F.conv2d(u * m, conv.weight, None, stride, padding), mask


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_it_is_the_published_graph() -> None:
    net = draw_all(MaskedFeatures(32))
    x = (torch.rand(1, 3, 128, 256) * 1.3).clamp(max=1)
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    with torch.no_grad():
        v = (x - mean) / deviation
        m0 = 1 - torch.clip((x - 0.95) / 0.05, 0, 1)
        y, m, kept = v, m0, []
        for layer in net.backbone.encoder:
            y, m = masked_conv(layer.features, y, m)
            y = F.relu(y)
            kept.append(y)
        for layer, e in zip(reversed(net.backbone.decoder), kept[-2::-1], strict=True):
            u, m = torch.cat((doubled(y), e), 1), torch.cat((doubled(m), torch.ones_like(e)), 1)
            y, m = masked_conv(layer.features, u, m)
            y = F.leaky_relu(y, 0.2)
        u, m = torch.cat((doubled(y), v), 1), torch.cat((doubled(m), torch.ones_like(v)), 1)
        y = net.head.project(u * m)
        expected = m0 * x**2 + (1 - m0) * (y.exp() - 1)
    assert 0.01 < m0.mean() < 0.9 and m.min() < 0.9
    torch.testing.assert_close(run(net, x), expected, rtol=1e-4, atol=1e-5)


def test_masks_follow_the_weights() -> None:
    net = draw_all(MaskedFeatures(32))
    layer = net.backbone.encoder[0]
    sums = layer.mask.weight.sum((1, 2, 3))
    torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-5)
    nn.init.ones_(layer.features.weight)
    layer.derive_weights()
    torch.testing.assert_close(layer.mask.weight, torch.full((4, 3, 7, 7), 1 / 147))
