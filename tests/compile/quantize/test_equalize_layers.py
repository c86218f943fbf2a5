"""Scales that move between convolutions: the network stays, its channels become alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compile.quantize.equalize import channel_peaks
from compile.quantize.equalize_layers import equalize_layers


class Two(nn.Module):
    """Two convolutions, with something between them."""

    def __init__(self, between: Callable[[Tensor], Tensor], groups: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.between = nn.Conv2d(3, 8, 3, padding=1), between
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=groups)
        self.first.weight.data *= torch.logspace(0, -3, 8)[:, None, None, None]

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.second(self.between(self.first(x))))


class Joined(Two):
    """What is pooled is joined behind the photograph, and read by one more."""

    def __init__(self) -> None:
        super().__init__(F.relu)
        self.third, self.fourth = nn.Conv2d(11, 4, 1), nn.Conv2d(8, 4, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first(x))
        coarse = F.interpolate(F.max_pool2d(y, 2), scale_factor=2)
        joined = self.third(torch.cat([x, coarse], 1)) + self.fourth(y)
        return torch.tanh(joined)


class Shared(Two):
    """One convolution is called twice."""

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first(x))
        return self.second(y) + self.second(self.second(y))


def equalized(net: nn.Module) -> tuple[int, float, float]:
    """How many tensors were scaled; the ratio of the first convolution's largest peak to its
    least, before and after. The output has to be the same."""
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))

    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

    def spread() -> float:
        peaks = channel_peaks(net, [net.first], images)[net.first]
        return float(peaks.max() / peaks.min())

    graph = torch.export.export(Wrapper().eval(), (images[:1],)).graph
    before, expected = spread(), net(images)
    count = equalize_layers(net, graph, "net", images)
    torch.testing.assert_close(net(images), expected, atol=1e-5, rtol=1e-4)
    return count, before, spread()


@torch.no_grad()
@pytest.mark.parametrize(
    ("net", "count"),
    [
        (Two(lambda x: x), 1),
        (Two(F.relu), 1),
        (Two(F.relu, groups=8), 1),
        (Two(lambda x: F.avg_pool2d(F.relu(x), 2)), 1),
        (Joined(), 1),
    ],
    ids=["nothing", "relu", "depthwise", "pooled", "joined"],
)
def test_half_of_the_way(net: nn.Module, count: int) -> None:
    found, before, after = equalized(net)
    assert found == count and after == pytest.approx(before**0.5, rel=0.05)


@torch.no_grad()
@pytest.mark.parametrize(
    "net",
    [
        Two(F.relu6),
        Two(lambda x: x + 1),
        Two(lambda x: torch.cat([x[:, :4], x[:, 4:]], 1)),
        Two(F.relu, groups=2),
        Shared(F.relu),
    ],
    ids=["relu6", "sum", "slices", "groups", "shared"],
)
def test_what_a_scale_would_change_stays(net: nn.Module) -> None:
    count, before, after = equalized(net)
    assert count == 0 and after == before
