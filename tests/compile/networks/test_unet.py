"""U-Net and U-Net++ against their published counts, and their graphs against the tables."""

from __future__ import annotations

import pytest
import torch
from network_checks import check_gmacs, check_outputs, count, on_meta_device, run
from torch.nn import functional as F

from compile.networks.he_weights import fill_he_weights
from compile.networks.unet import UNet
from compile.networks.unet_plus_plus import UNetPlusPlus

Class = type[UNet] | type[UNetPlusPlus]


@pytest.mark.parametrize(
    ("network", "one_channel", "colour", "gmacs", "at_paper_size"),
    [
        (UNet, 7_759_521, 7_760_163, 12.08, 181.1),
        (UNetPlusPlus, 9_041_601, 9_042_243, 29.79, 446.9),
    ],
)
def test_published_size(
    network: Class, one_channel: int, colour: int, gmacs: float, at_paper_size: float
) -> None:
    published = on_meta_device(lambda: network(in_channels=1, out_channels=1))
    assert count(published) == one_channel
    net = on_meta_device(network)
    assert count(net) == colour
    check_gmacs(net, gmacs)
    check_gmacs(net, at_paper_size, 768, 1280)


@pytest.mark.parametrize("network", [UNet, UNetPlusPlus])
def test_outputs(network: Class) -> None:
    outputs = check_outputs(network(8))
    assert outputs.min() > 0 and outputs.max() < 1


@pytest.mark.parametrize("network", [UNet, UNetPlusPlus])
def test_sizes(network: Class) -> None:
    net = network(8).eval()
    assert run(net, torch.rand(1, 3, 16, 48)).shape == (1, 3, 16, 48)
    assert net.SIZE_MULTIPLE == net.LEAST_SIDE == 16
    with pytest.raises(RuntimeError):
        run(net, torch.rand(1, 3, 24, 32))


@pytest.mark.parametrize("network", [UNet, UNetPlusPlus])
def test_a_transposed_convolution_is_four_weights_a_pixel(network: Class) -> None:
    """Each pixel times a 1x1 convolution to four times the channels, dealt out by depth-to-space:
    the form in which integer kernels compute it."""
    net = fill_he_weights(network(8))
    ups = [module for module in net.modules() if isinstance(module, torch.nn.ConvTranspose2d)]
    assert len(ups) == (4 if network is UNet else 10)
    for up in ups:
        torch.nn.init.normal_(up.bias)
        x = torch.randn(1, up.in_channels, 3, 5)
        pointwise = up.weight.permute(1, 2, 3, 0).reshape(-1, up.in_channels, 1, 1)
        expected = F.pixel_shuffle(F.conv2d(x, pointwise), 2) + up.bias[:, None, None]
        with torch.no_grad():
            torch.testing.assert_close(up(x), expected)


def test_skips_come_behind_what_is_upsampled() -> None:
    net = fill_he_weights(UNet(8)).backbone
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        features = [net.down[0](image)]
        for down in net.down[1:]:
            features.append(down(F.max_pool2d(features[-1], 2)))
        y = features[-1]
        for level in (3, 2, 1, 0):
            y = net.merge[level](torch.cat((net.up[level](y), features[level]), dim=1))
        torch.testing.assert_close(net(image), y, rtol=0, atol=0)


def test_nodes_of_the_nested_network() -> None:
    """Node (i, j) as a recursive definition; the network computes columns in order."""
    net = fill_he_weights(UNetPlusPlus(8)).backbone
    image = torch.rand(1, 3, 16, 16)

    def node(i: int, j: int) -> torch.Tensor:
        if j == 0:
            return net.nodes[f"{i}_0"](F.max_pool2d(node(i - 1, 0), 2) if i else image)
        upsampled = net.up[f"{i}_{j}"](node(i + 1, j - 1))
        return net.nodes[f"{i}_{j}"](torch.cat((upsampled, *(node(i, k) for k in range(j))), 1))

    with torch.no_grad():
        torch.testing.assert_close(net(image), node(0, 4), rtol=0, atol=0)
