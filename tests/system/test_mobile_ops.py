"""What mobile networks are made of, each in a small network of odd sizes: integers throughout, bit
for bit as in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from integer_networks import check_integers
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = (37, 51)


class Between(nn.Module):
    """``function`` between two convolutions, of which the first has ``channels`` outputs."""

    def __init__(self, function: Callable[[Tensor], Tensor] | nn.Module, channels: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, channels, 3, 2, 1), nn.ReLU())
        self.function = function
        self.last = nn.LazyConv2d(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x)))


OPS = {
    "average": (lambda x: F.avg_pool2d(x, 2), 13),
    "average, padding counts": (lambda x: F.avg_pool2d(x, 3, 1, 1), 16),
    "average of what is inside": (nn.AvgPool2d(3, 2, 1, count_include_pad=False), 13),
    "average, rounded up": (nn.AvgPool2d(2, ceil_mode=True), 16),
    "largest, rounded up": (nn.MaxPool2d(3, 2, ceil_mode=True), 16),
}


@pytest.mark.parametrize("name", OPS)
def test_op_is_in_integers(name: str) -> None:
    function, channels = OPS[name]
    found = check_integers(Between(function, channels), *SIZE)
    assert found.distinct > 32, "so flat a result would prove nothing"
    assert found.head == ["fused_dequantize_cast"]
