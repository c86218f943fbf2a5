"""HDRCNN against its size and against the published conventions, written straight down."""

from __future__ import annotations

import torch
from network_checks import check_gmacs, check_outputs, count, draw_all, on_meta_device, run
from torch import Tensor, nn
from torch.nn import functional as F

from compile.networks.hdrcnn import HDRCNN


def test_published_size() -> None:
    net = on_meta_device(HDRCNN)
    assert count(net) == 29_443_358
    assert count(net.backbone.encoder) == 14_714_688
    assert count(net.backbone.bottom) == 2_360_832
    assert count(net.backbone.fuse) == 1_222_080
    assert count(net.head) == 222
    assert sum(b.numel() for n, b in net.named_buffers() if "running" in n) == 3_974
    check_gmacs(net, 30.28)
    check_gmacs(net, 454.1, 768, 1280)


def test_outputs() -> None:
    check_outputs(HDRCNN(8))


def test_an_image_that_is_not_saturated_is_squared() -> None:
    net = draw_all(HDRCNN(16))
    image = torch.rand(1, 3, 32, 64) * 0.95
    torch.testing.assert_close(run(net, image), image.square(), rtol=0, atol=1e-6)
    image[0, 1, 3, 5] = 1.0
    changed = (run(net, image) - image.square()).abs().amax(1)[0] > 1e-5
    assert changed.nonzero().tolist() == [[3, 5]]


def batch_norm(norm: nn.Module, y: Tensor) -> Tensor:
    y = (y - norm.running_mean[:, None, None]) / (norm.running_var + 1e-5).sqrt()[:, None, None]
    return y * norm.weight[:, None, None] + norm.bias[:, None, None]


def transposed(conv: nn.Module, x: Tensor) -> Tensor:
    """TensorFlow's SAME, 4x4 and stride 2: every input adds its 4x4, from one row above and one
    column to the left of its pixel on."""
    n, _, height, width = x.shape
    output = torch.zeros(n, conv.out_channels, 2 * height + 2, 2 * width + 2)
    for row in range(height):
        for column in range(width):
            patch = torch.einsum("nc,cokl->nokl", x[:, :, row, column], conv.weight)
            output[:, :, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4] += patch
    return output[:, :, 1:-1, 1:-1] + conv.bias[:, None, None]


def published(net: HDRCNN, x: Tensor) -> Tensor:
    """With bytes in the order B, G, R, from the weights of ``net`` in their published units."""

    def g(features: Tensor) -> Tensor:
        return torch.log((features / 255) ** 2 + 1 / 255)

    backbone, merge = net.backbone, net.head.merge
    y = (255 * x).flip(1) - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    skips = []
    for level, stage in enumerate(backbone.encoder.stages):
        for position, (conv, _) in enumerate(stage):
            weight = conv.weight.flip(1) if level == position == 0 else conv.weight
            y = F.relu(F.conv2d(y, weight, conv.bias * 255, padding=1))
        skips.append(y)
        y = F.max_pool2d(y, 2)
    conv, norm, _ = backbone.bottom
    y = F.relu(batch_norm(norm, F.conv2d(y, conv.weight / 255, conv.bias, padding=1)))
    for level in (4, 3, 2, 1, 0):
        conv, norm, _ = backbone.enlarge[level]
        y = F.relu(batch_norm(norm, transposed(conv, y)))
        y = backbone.fuse[level](torch.cat((y, g(skips[level])), 1))
    conv, norm, _ = merge.project
    y = merge.fuse(torch.cat((F.relu(batch_norm(norm, conv(y))), g(255 * x)), 1))
    alpha = torch.clip((x.max(1, keepdim=True).values - 0.95) / 0.05, 0, 1)
    return (1 - alpha) * x**2 + alpha * (y.exp() - 1 / 255)


def test_it_is_the_published_function_in_other_units() -> None:
    net = draw_all(HDRCNN(16))
    image = (torch.rand(1, 3, 32, 64) * 1.2).clamp(max=1)
    with torch.no_grad():
        expected = published(net, image)
    torch.testing.assert_close(run(net, image), expected, rtol=1e-3, atol=1e-4)
