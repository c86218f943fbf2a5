"""MQNet against the figures of its authors' code: parameters, multiply-accumulates, shapes."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from compile.networks.export_wrapper import ExportWrapper
from compile.networks.mqnet.attention import ATTENTIONS
from compile.networks.mqnet.attention_names import AttentionName
from compile.networks.mqnet.checkpoints import random_network
from compile.networks.mqnet.network import NORM_EPSILON, Head, MQNet, scaled_channels
from compile.support.errors import MqnetError

ENCODER_PARAMETERS = 250_208
HEAD_PARAMETERS = 1_872
DECODER_PARAMETERS = {"ca": 623_352, "csa": 621_556, "sa": 621_396, "none": 621_312}

MACS_AT_256 = {
    "MQNet": 0.5526e9,
    "MQNet.backbone.encoder": 66.59e6,
    "MQNet.backbone.decoder": 366.9e6,
    "MQNet.head": 119.1e6,
}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_names_on_command_lines() -> None:
    assert get_args(AttentionName) == tuple(ATTENTIONS)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_parameters_of_each_part(attention: str) -> None:
    net = MQNet(attention)
    assert count(net.backbone.encoder) == ENCODER_PARAMETERS
    assert count(net.backbone.decoder) == DECODER_PARAMETERS[attention]
    assert count(net.head) == HEAD_PARAMETERS


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_multiply_accumulates_of_each_part(attention: str) -> None:
    net = random_network(attention, 0)
    with FlopCounterMode(display=False, depth=4) as counter, torch.no_grad():
        net(torch.rand(1, 3, 256, 256))
    counts = counter.get_flop_counts()
    assert counter.get_total_flops() / 2 == pytest.approx(0.553e9, rel=0.01)
    for part, expected in MACS_AT_256.items():
        macs = sum(counts[part].values()) / 2
        assert macs == pytest.approx(expected, rel=0.001), part


def test_multiply_accumulates_at_the_paper_size() -> None:
    net = MQNet("ca").eval().to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.empty(1, 3, 768, 1280, device="meta"))
    assert counter.get_total_flops() / 2 == pytest.approx(8.29e9, rel=0.01)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_output_has_the_image_shape_and_lies_in_its_bounds(attention: str) -> None:
    net = random_network(attention, 1)
    with torch.no_grad():
        output = net(torch.rand(2, 3, 32, 96))
    assert output.shape == (2, 3, 32, 96)
    low, high = torch.sigmoid(torch.tensor([-1.0, 2.0]))
    assert low < output.min() and output.max() < high


def test_skips_and_features() -> None:
    net = random_network("none", 2)
    with torch.no_grad():
        features, skips = net.backbone.encoder(torch.rand(1, 3, 64, 96))
        maps = net.backbone(torch.rand(1, 3, 64, 96))
    assert features.shape == (1, 112, 2, 3)
    assert [tuple(skip.shape[1:]) for skip in skips] == [
        (48, 32, 48),
        (48, 16, 24),
        (96, 8, 12),
        (192, 4, 6),
    ]
    assert all(skip.min() >= 0 and skip.max() <= 6 for skip in skips)
    assert maps.shape == (1, 16, 64, 96) and maps.min() >= 0


def test_channels_are_multiples_of_8_and_not_far_below_the_product() -> None:
    assert [scaled_channels(c) for c in (32, 16, 24, 32, 64, 96, 160, 320)] == [
        *(16, 8, 8, 16, 24, 32, 56, 112)
    ]


def test_attentions_are_gates_in_0_to_1() -> None:
    x = torch.randn(1, 8, 5, 7)
    for make in filter(None, ATTENTIONS.values()):
        gates = make(8)(x) / x
        assert gates.min() > 0 and gates.max() < 1


def test_the_norms_epsilon_is_a_scale_of_the_weights_in_front() -> None:
    """A head with the usual epsilon computes the same from weights of a thousandth."""
    head, usual = Head(), Head()
    usual.load_state_dict(head.state_dict())
    with torch.no_grad():
        for conv, norm in ((usual.conv1, usual.norm1), (usual.conv2, usual.norm2)):
            norm.eps = 1e-5
            for tensor in (conv.weight, conv.bias):
                tensor.mul_((1e-5 / NORM_EPSILON) ** 0.5)
        for scale in (0.1, 1, 30):
            features = scale * torch.rand(2, 16, 24, 40)
            torch.testing.assert_close(usual(features), head(features), rtol=0, atol=1e-5)


def test_the_head_tells_a_strong_feature_from_a_weak_one() -> None:
    """What the backbone finds out of a picture goes through the norms as a factor."""
    head = Head()
    features = torch.rand(1, 16, 24, 40)
    with torch.no_grad():
        weak, strong = (head.norm1(head.conv1(scale * features)).std() for scale in (0.1, 1))
    assert 8 < strong / weak < 10.1


def test_unknown_attention_lists_the_known_ones() -> None:
    with pytest.raises(MqnetError, match="'cbam': choose one of ca, csa, sa, none"):
        MQNet("cbam")


def test_deployed_takes_bytes_and_gives_interleaved_floats() -> None:
    net = random_network("ca", 3)
    image = torch.randint(0, 256, (1, 64, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        output = ExportWrapper(net)(image)
        expected = net(image.permute(0, 3, 1, 2) / 255).permute(0, 2, 3, 1)
    assert output.shape == (1, 64, 32, 3) and output.dtype == torch.float32
    torch.testing.assert_close(output, expected, rtol=0, atol=0)
