"""Stuck gates are made anew, and the network goes on computing what it did."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from compile.networks.mqnet.attention import ChannelAttention
from compile.networks.mqnet.checkpoints import random_network
from compile.networks.mqnet.network import MQNet
from compile.training.revive_gates import revive_gates
from tests.support.living_network import living_network, parts_of_photographs

FAR = 500.0


@pytest.fixture(scope="module")
def photos() -> Tensor:
    return parts_of_photographs()


def attention_of(net: MQNet, stage: int) -> ChannelAttention:
    attention = net.backbone.decoder.stages[stage][0].attention
    assert isinstance(attention, ChannelAttention)
    return attention


def test_a_living_network_stays_bit_for_bit(photos: Tensor):
    net = living_network("ca", photos)
    before = copy.deepcopy(net.state_dict())
    assert revive_gates(net, photos) == 0
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_what_it_computes_stays_and_gates_learn(photos: Tensor):
    net = living_network("ca", photos)
    with torch.no_grad():
        open_ones, shut = attention_of(net, 0).restore, attention_of(net, 1).restore
        open_ones.bias[:] = FAR
        shut.bias[:10] -= FAR
        before = net(photos)
    assert revive_gates(net, photos) >= 32 + 10
    output = net(photos)
    torch.testing.assert_close(output, before, rtol=0, atol=5e-3)
    output.square().sum().backward()
    for restore in (open_ones, shut):
        assert restore.weight.grad is not None
        assert (restore.weight.grad.abs().amax((1, 2, 3)) > 0).any()
    assert (open_ones.weight.grad.abs().amax((1, 2, 3)) > 0).all()
    # What was shut out comes back by its norm.
    norm = net.backbone.decoder.stages[1][0].project.norm
    assert (norm.weight[:10].abs() < 1e-6).all() and (norm.weight.grad[:10] != 0).all()


@pytest.mark.parametrize("attention", ["csa", "sa", "none"])
def test_others_have_no_such_gates(attention: str, photos: Tensor):
    assert revive_gates(random_network(attention, 3), photos) == 0
