"""ExpandNet against its published counts, and its fusion against the published one."""

from __future__ import annotations

import pytest
import torch
from network_checks import check_gmacs, check_outputs, count, draw_all, on_meta_device, run
from torch import nn

from compile.networks.expandnet import ExpandNet

AS_A_CONCAT = 64 * 64 * 1e-9
"""GMAC for a pixel that a fusion over 256 channels at every pixel has more."""


def test_published_size() -> None:
    net = on_meta_device(ExpandNet)
    assert count(net) == 456_899
    check_gmacs(net, 13.62 - AS_A_CONCAT * 256 * 256)
    check_gmacs(net, 201.1 - AS_A_CONCAT * 768 * 1280, 768, 1280)
    check_gmacs(net.backbone.global_branch, 0.23)


def test_outputs() -> None:
    outputs = check_outputs(ExpandNet(8))
    assert outputs.min() > 0 and outputs.max() < 1


@pytest.mark.parametrize("size", [(1, 1), (7, 11)])
def test_sizes(size: tuple[int, int]) -> None:
    assert run(ExpandNet(16).eval(), torch.rand(1, 3, *size)).shape == (1, 3, *size)


def selu(v: torch.Tensor) -> torch.Tensor:
    negative = (1.6732632 * (v.exp() - 1)).clamp(max=0)
    return 1.0507010 * (v.clamp(min=0) + negative)


def resized(image: torch.Tensor, size: int) -> torch.Tensor:
    """Bilinear with half-pixel centres, each axis a matrix."""

    def matrix(length: int) -> torch.Tensor:
        at = ((torch.arange(size) + 0.5) * length / size - 0.5).clamp(0, length - 1)
        return (1 - (at[:, None] - torch.arange(length)).abs()).clamp(min=0)

    return matrix(image.shape[2]) @ image @ matrix(image.shape[3]).T


def test_it_is_the_published_graph() -> None:
    net = draw_all(ExpandNet(16))
    backbone = net.backbone
    image = torch.rand(1, 3, 20, 24)

    def chain(layers: nn.Sequential, y: torch.Tensor) -> torch.Tensor:
        for layer in layers:
            y = selu(layer[0](y)) if isinstance(layer, nn.Sequential) else layer(y)
        return y

    with torch.no_grad():
        far = backbone.global_branch.last(chain(backbone.global_branch.down, resized(image, 256)))
        assert far.shape == (1, 4, 1, 1)
        branches = (backbone.local_branch, backbone.dilated_branch)
        near = [chain(branch, image) for branch in branches]
        joined = torch.cat((*near, far.expand(-1, -1, 20, 24)), 1)
        weight = torch.cat((backbone.fuse.weight, backbone.fuse_global.weight), 1)
        fused = selu(nn.functional.conv2d(joined, weight, backbone.fuse_global.bias))
        expected = torch.sigmoid(net.head[0](fused))
    torch.testing.assert_close(run(net, image), expected, rtol=1e-5, atol=1e-5)


def test_the_dilated_branch_sees_every_second_pixel() -> None:
    """As an undilated convolution of each of the four phases of the image."""
    conv = draw_all(ExpandNet(16)).backbone.dilated_branch[0][0]
    image = torch.rand(1, 3, 9, 12)
    with torch.no_grad():
        output = conv(image)
        for row in (0, 1):
            for column in (0, 1):
                phase = image[:, :, row::2, column::2]
                expected = nn.functional.conv2d(phase, conv.weight, conv.bias, padding=1)
                torch.testing.assert_close(output[:, :, row::2, column::2], expected)
