"""Statistics of batch norms: renewed without a change of the network, then following slowly."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from compile.networks.mqnet.checkpoints import load_checkpoint
from compile.training.follow_statistics import follow_statistics, renew_statistics


def unit() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5), nn.ReLU6())
    net[1].running_mean[:] = torch.randn(5)
    net[1].running_var[:] = torch.rand(5) + 0.1
    nn.init.normal_(net[1].weight)
    nn.init.normal_(net[1].bias)
    return net.eval()


def statistics_of(net: nn.Sequential, photos: Tensor) -> tuple[Tensor, Tensor]:
    y = net[0](photos).detach()
    return y.mean((0, 2, 3)), y.var((0, 2, 3), correction=0)


def test_renewed_it_computes_the_same_by_other_statistics():
    net, photos, others = unit(), torch.rand(4, 3, 33, 20), torch.rand(2, 3, 20, 20)
    before = net(others)
    renew_statistics(net, photos)
    torch.testing.assert_close(net(others), before)
    mean, variance = statistics_of(net, photos)
    torch.testing.assert_close(net[1].running_mean, mean)
    torch.testing.assert_close(net[1].running_var, variance)


def test_the_whole_network_computes_the_same():
    net = load_checkpoint(None, "ca")
    photos = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        before = net(photos)
        renew_statistics(net, photos / 2)
        torch.testing.assert_close(net(photos), before, rtol=0, atol=1e-4)


def test_they_follow_slowly_and_the_level_is_not_taken_away():
    net = follow_statistics(unit().train())
    before = copy.deepcopy(net)
    photo = torch.rand(1, 3, 10, 10) + 2
    bright = net(photo)
    assert not torch.equal(net[1].running_mean, before[1].running_mean)
    torch.testing.assert_close(bright, before.eval()(photo), rtol=0.1, atol=0.1)
    for _ in range(2000):
        net(photo)
    mean, variance = statistics_of(net, photo)
    torch.testing.assert_close(net[1].running_mean, mean, rtol=1e-3, atol=0)
    torch.testing.assert_close(net[1].running_var, variance, rtol=1e-2, atol=0)
    # As of the bright one, though another goes through.
    assert (net(photo / 2) - net(photo)).abs().max() > 0.1


def test_of_a_large_map_a_part_is_counted():
    net = follow_statistics(unit().train())
    photos = torch.rand(2, 3, 64, 70)
    for _ in range(2000):
        net(photos)
    mean, variance = statistics_of(net, photos)
    torch.testing.assert_close(net[1].running_mean, mean, rtol=0, atol=0.02)
    torch.testing.assert_close(net[1].running_var, variance, rtol=0.1, atol=0)


def test_a_channel_that_nothing_moves_is_not_divided_by_next_to_nothing():
    """Of a variance near 0 came gains of thousands: with it, one step of the weight changes all."""
    net = unit()
    with torch.no_grad():
        net[0].weight[2] = 1e-4
    photos = torch.rand(2, 3, 20, 20)
    before = net(photos)
    renew_statistics(net, photos)
    torch.testing.assert_close(net(photos), before)
    _, variance = statistics_of(net, photos)
    assert variance[2] < 1e-6 and (variance[[0, 1, 3, 4]] > 1e-2).all()
    for _ in range(2):
        assert net[1].running_var[2] == pytest.approx(1e-3)
        torch.testing.assert_close(net[1].running_var[3], variance[3])
        follow_statistics(net.train())(photos)
