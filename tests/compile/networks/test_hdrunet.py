"""HDRUNet against its size, and its blocks against their published form."""

from __future__ import annotations

import torch
from network_checks import check_gmacs, check_outputs, count, draw_all, on_meta_device, run
from torch.nn import functional as F

from compile.networks.hdrunet import FeatureTransform, HDRUNet, Residual, enlarge
from compile.networks.he_weights import fill_he_weights


def test_published_size() -> None:
    net = on_meta_device(HDRUNet)
    assert count(net) == 1_651_494
    assert count(net.backbone.transform_last) == 6_336
    assert count(net.backbone.chain_quarter.blocks[0]) == 86_528
    assert count(net.backbone.weights) + count(net.head.weight) == 43_075
    assert sum(isinstance(m, torch.nn.Conv2d) for m in net.modules()) == 149
    check_gmacs(net, 23.27)
    check_gmacs(net, 349.1, 768, 1280)


def test_outputs() -> None:
    check_outputs(HDRUNet(8))


def test_sizes() -> None:
    assert run(HDRUNet(16).eval(), torch.rand(1, 3, 4, 12)).shape == (1, 3, 4, 12)


def test_a_transform_is_the_published_one() -> None:
    """With 1 taken off the bias that holds it."""
    transform = draw_all(FeatureTransform(8, 4))
    f, k = torch.randn(1, 8, 5, 6), torch.randn(1, 4, 5, 6)

    def branch(layers: torch.nn.Sequential, plus: float) -> torch.Tensor:
        (first, _), last = layers
        hidden = F.leaky_relu(F.conv2d(k, first.weight, first.bias), 0.1)
        return F.conv2d(hidden, last.weight, last.bias - plus)

    with torch.no_grad():
        expected = f * (branch(transform.scale, 1.0) + 1) + branch(transform.shift, 0.0)
        torch.testing.assert_close(transform(f, k), expected)
    fill_he_weights(transform)
    assert transform.scale[1].bias.tolist() == [1.0] * 8 and not transform.shift[1].bias.any()


def test_a_residual() -> None:
    block = draw_all(Residual(8, 4))
    f, k = torch.randn(1, 8, 5, 6), torch.randn(1, 4, 5, 6)
    with torch.no_grad():
        y = F.relu(block.conv1[0](block.transform1(f, k)))
        expected = f + block.conv2(block.transform2(y, k))
        torch.testing.assert_close(block(f, k), expected)


def test_depth_goes_to_space_as_published() -> None:
    """Channel 4 c + 2 row + column."""
    up = draw_all(enlarge(4))
    x = torch.randn(1, 4, 3, 5)
    with torch.no_grad():
        deep, output = up[0](x).relu(), up(x)
    for c, row, column in ((0, 0, 1), (1, 1, 0), (3, 1, 1)):
        assert torch.equal(output[:, c, row::2, column::2], deep[:, 4 * c + 2 * row + column])


def test_the_image_is_weighted_and_a_residual_added() -> None:
    net = draw_all(HDRUNet(16))
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        residual, weights = net.backbone(image)
        expected = net.head.weight(weights) * image + net.head.residual(residual)
    assert residual.min() >= 0 and weights.min() >= 0
    torch.testing.assert_close(run(net, image), expected, rtol=0, atol=0)


def test_what_each_level_reads() -> None:
    """The published table, row by row; each level has a condition of its own."""
    net = draw_all(HDRUNet(16)).backbone
    image = torch.rand(1, 3, 12, 16)

    def leaky(layer: torch.nn.Sequential, y: torch.Tensor) -> torch.Tensor:
        y = layer[0](y)
        return torch.where(y > 0, y, 0.1 * y)

    with torch.no_grad():
        c = image
        for layer in net.conditions.shared:
            c = leaky(layer, c)
        k1, k2, k3 = (
            last(leaky(first, c))
            for first, last in (
                net.conditions.to_full,
                net.conditions.to_half,
                net.conditions.to_quarter,
            )
        )
        assert [tuple(k.shape[2:]) for k in (k1, k2, k3)] == [(12, 16), (6, 8), (3, 4)]
        f0 = net.conv_full(net.transform_first(net.first(image), k1))
        f1 = net.to_half(f0)
        for block in net.chain_half.blocks:
            f1 = block(f1, k2)
        v = y = net.to_quarter(f1)
        for block in net.chain_quarter.blocks:
            y = block(y, k3)
        y = net.up_half(y + v) + f1
        for block in net.chain_last.blocks:
            y = block(y, k2)
        y = net.last(net.transform_last(net.up_full(y) + f0, k1))
        maps, weights = net(image)
        torch.testing.assert_close(maps, y)
        torch.testing.assert_close(weights, net.weights(image))
    lengths = [len(chain.blocks) for chain in (net.chain_half, net.chain_quarter, net.chain_last)]
    assert lengths == [2, 8, 2]
