"""Dead channels are made anew, and the network goes on computing what it did."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from compile.networks.mqnet.attention import ATTENTIONS
from compile.networks.mqnet.network import MQNet
from compile.training.revive_channels import revive_channels
from tests.support.living_network import living_network, parts_of_photographs

FAR_BELOW_ZERO = -100.0


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return parts_of_photographs()


@torch.no_grad()
def kill(net: MQNet, block: int, count: int) -> None:
    """The first channels behind a depthwise convolution of the encoder are 0 from now on."""
    net.backbone.encoder.blocks[block].depthwise.norm.bias[:count] = FAR_BELOW_ZERO


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_living_network_stays_bit_for_bit(attention: str, photos: Tensor):
    net = living_network(attention, photos)
    before = copy.deepcopy(net.state_dict())
    assert revive_channels(net, photos, 1) == 0
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_what_it_computes_stays_and_the_dead_live(attention: str, photos: Tensor):
    net = living_network(attention, photos)
    for block, count in ((4, 7), (5, 40), (12, 192)):
        kill(net, block, count)
    with torch.no_grad():
        net.backbone.decoder.stages[2][0].project.norm.weight[:3] = 0  # What the attention reads.
    with torch.no_grad():
        before = net(photos)
    assert revive_channels(net, photos, 1) >= 7 + 40 + 192  # and what their changes have killed
    with torch.no_grad():
        torch.testing.assert_close(net(photos), before, rtol=0, atol=3e-3)
    assert revive_channels(net, photos, 2) == 0


def test_what_new_channels_feed_begins_at_zero_and_learns(photos: Tensor):
    net = living_network("ca", photos)
    kill(net, 5, 40)
    revive_channels(net, photos, 1)
    block = net.backbone.encoder.blocks[5]
    weight = block.project.conv.weight
    assert (weight[:, :40] == 0).all()
    assert (weight[:, 40:] != 0).any()
    net(photos).square().sum().backward()
    assert (weight.grad[:, :40].abs().amax((0, 2, 3)) > 0).all()


def test_a_network_dead_from_a_block_on_lives_to_its_end(photos: Tensor):
    net = living_network("ca", photos)
    kill(net, 11, 192)
    assert revive_channels(copy.deepcopy(net), photos, 1) > 192
    revive_channels(net, photos, 1)
    assert revive_channels(net, photos, 2) == 0


def test_the_seed_makes_the_same_channels(photos: Tensor):
    made = []
    for seed in (1, 1, 2):
        net = living_network("ca", photos)
        kill(net, 6, 96)
        revive_channels(net, photos, seed)
        made.append(net.backbone.encoder.blocks[6].depthwise.conv.weight)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
