"""The two-stage network against its size, and its blocks against the published ones."""

from __future__ import annotations

import pytest
import torch
from network_checks import check_gmacs, check_outputs, count, draw_all, on_meta_device, run
from torch import Tensor, nn
from torch.nn import functional as F

from compile.networks.two_stage import TwoStage


def test_published_size() -> None:
    net = on_meta_device(TwoStage)
    assert count(net) == 834_476
    assert [count(stage) for stage in net.stages] == [555_655, 278_821]
    check_gmacs(net, 54.63)
    check_gmacs(net, 819.4, 768, 1280)
    check_gmacs(net.stages[0], 36.38)
    check_gmacs(net.stages[0], 545.7, 768, 1280)


def test_outputs() -> None:
    assert check_outputs(TwoStage(8)).min() >= 0


@pytest.mark.parametrize("size", [(1, 1), (5, 9)])
def test_sizes(size: tuple[int, int]) -> None:
    assert run(TwoStage(16).eval(), torch.rand(1, 3, *size)).shape == (1, 3, *size)


def dense(block: nn.Module, u: Tensor, m: float) -> Tensor:
    """As published, with the weights of the last convolution as they were before 0.8 m."""
    t1 = block.layers[0](u)
    t2 = block.layers[1](torch.cat((u, t1), 1))
    t3 = block.layers[2](torch.cat((u, t1, t2), 1))
    t4 = block.layers[3](torch.cat((u, t1, t2, t3), 1))
    weight, bias = (parameter / (0.8 * m) for parameter in (block.last.weight, block.last.bias))
    t5 = F.conv2d(torch.cat((u, t1, t2, t3, t4), 1), weight, bias, padding=1)
    return 0.8 * (m * t5 + u) + u


def attention(block: nn.Module, u: Tensor) -> Tensor:
    said = torch.stack((u.mean(1), u.max(1).values), 1)
    gate = torch.sigmoid(F.conv2d(said, block.gate.weight, padding=3))
    return gate * F.conv2d(u, block.conv.weight, block.conv.bias, padding=1)


def test_it_is_the_published_graph() -> None:
    net = draw_all(TwoStage(8))
    image = torch.rand(1, 3, 9, 11)
    x = image
    with torch.no_grad():
        for stage, m in zip(net.stages, (0.2, 0.5), strict=True):
            first, *blocks = stage.backbone
            f = first(x)
            for block in blocks:
                f = dense(block.dense, f, m) + attention(block.attention, f)
            x = F.relu(stage.head.project(f) + x)
    assert [len(stage.backbone) for stage in net.stages] == [3, 2]
    torch.testing.assert_close(run(net, image), x, rtol=1e-4, atol=1e-4)
