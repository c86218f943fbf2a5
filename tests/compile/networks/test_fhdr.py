"""FHDR against its size, and its iterations written straight down."""

from __future__ import annotations

import pytest
import torch
from network_checks import check_gmacs, check_outputs, count, draw_all, on_meta_device, run
from torch import Tensor
from torch.nn import functional as F

from compile.networks.fhdr import FHDR


def test_published_size() -> None:
    net = on_meta_device(FHDR)
    assert count(net) == 571_267
    assert count(net.backbone.first) == 1_792
    assert count(net.backbone.second) == 36_928
    assert [count(dense) for dense in net.backbone.feedback.dense] == [149_568] * 3
    assert count(net.backbone.feedback) == 8_256 + 3 * 149_568 + 36_928
    assert count(net.backbone.last) + count(net.head) == 36_928 + 1_731
    check_gmacs(net, 69.75)
    check_gmacs(net, 1046.3, 768, 1280)


def test_iterations_share_weights() -> None:
    once = on_meta_device(lambda: FHDR(iterations=1))
    assert count(once) == 571_267
    check_gmacs(once, 37.40)
    check_gmacs(once, 561.1, 768, 1280)
    one, two = draw_all(FHDR(8, 1)), draw_all(FHDR(8, 2))
    assert one.state_dict().keys() == two.state_dict().keys()
    image = torch.rand(1, 3, 16, 16)
    assert (run(one, image) - run(two, image)).abs().max() > 1e-3


def test_outputs() -> None:
    outputs = check_outputs(FHDR(8))
    assert outputs.min() >= 0 and outputs.max() <= 1


@pytest.mark.parametrize("size", [(2, 2), (5, 9)])
def test_sizes(size: tuple[int, int]) -> None:
    assert run(FHDR(16).eval(), torch.rand(1, 3, *size)).shape == (1, 3, *size)


def mirrored(x: Tensor) -> Tensor:
    """One more row and column on each side, the border pixel not repeated."""
    x = torch.cat((x[:, :, 1:2], x, x[:, :, -2:-1]), 2)
    return torch.cat((x[..., 1:2], x, x[..., -2:-1]), 3)


def dense(block: torch.nn.Module, v: Tensor, state: Tensor) -> Tensor:
    u = block.compress(torch.cat((v, state), 1))
    for conv, _ in block.layers:
        u = torch.cat((u, F.relu(F.conv2d(u, conv.weight, padding=2, dilation=2))), 1)
    return F.conv2d(u, block.project.weight)


def test_it_is_the_published_graph() -> None:
    """Two iterations, unrolled."""
    net = draw_all(FHDR(8))
    part, block = net.backbone, net.backbone.feedback
    image = torch.rand(1, 3, 9, 11)
    with torch.no_grad():
        f1 = F.relu(part.first.conv(mirrored(2 * image - 1)))
        f2 = part.second(f1)
        v = block.compress(torch.cat((f2, f2), 1))
        h1 = dense(block.dense[0], v, v)
        h2 = dense(block.dense[1], h1, h1)
        h3 = dense(block.dense[2], h2, h2)
        h = F.relu(block.last[0](h3))
        v = block.compress(torch.cat((f2, h), 1))
        v = dense(block.dense[0], v, h1)
        v = dense(block.dense[1], v, h2)
        v = dense(block.dense[2], v, h3)
        h = F.relu(block.last[0](v))
        y = F.relu(part.last[0](h + f1))
        expected = (torch.tanh(net.head.project.conv(mirrored(y))) + 1) / 2
    torch.testing.assert_close(run(net, image), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(run(net, image), expected, rtol=1e-5, atol=1e-6)
