"""Biases take back what rounded weights have moved means by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from compile.quantize.correct_bias import correct_biases, float_weights


class Net(nn.Module):
    """Two convolutions, one of which has no bias."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu(self.first(x)))


class Wrapper(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


@torch.no_grad()
def test_means_are_those_of_exact_weights() -> None:
    net, frames = Net(), [(torch.rand(1, 3, 9, 9),) for _ in range(3)]
    exact = float_weights(net, "net")
    expected = [net.first(x).mean((0, 2, 3)) for (x,) in frames]
    bias = net.first.bias.clone()
    for conv in (net.first, net.second):
        conv.weight.data = (conv.weight * 4).round() / 4
    rounded = torch.export.export(Wrapper(net), frames[0]).module(check_guards=False)
    assert correct_biases(rounded, exact, frames) == 1
    corrected = rounded.net.first.bias
    assert (corrected - bias).abs().max() > 0.01
    means = [
        nn.functional.conv2d(x, net.first.weight, corrected).mean((0, 2, 3)) for (x,) in frames
    ]
    torch.testing.assert_close(sum(means) / 3, sum(expected) / 3)


@torch.no_grad()
def test_other_networks_weights_correct_nothing() -> None:
    net, frames = Net(), [(torch.rand(1, 3, 9, 9),)]
    module = torch.export.export(Wrapper(net), frames[0]).module(check_guards=False)
    exact = {"net.first": torch.zeros(8, 3, 1, 1), "other": net.first.weight.clone()}
    assert correct_biases(module, exact, frames) == 0
