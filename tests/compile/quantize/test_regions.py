"""Where integers begin again behind floats, and what convolutions pad by themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from compile.networks.quantized_ops import DEQUANTIZE, QUANTIZE
from compile.networks.seeded_network import SeededNetwork
from compile.quantize.integer_kernels import why_not_quantized
from compile.quantize.quantize import quantize_network
from compile.quantize.schemes import scheme_named

aten = torch.ops.aten


class Stage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.conv, self.last = nn.Conv2d(12, 8, 3, 2), nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = F.relu(1.0 - (x - 0.5).abs() * 2.0)
        both = torch.cat([x, near, F.pad(x, (1, 1, 1, 1), "reflect")[..., 1:-1, 1:-1], x * 0.5], 1)
        return self.last(self.conv(self.pad(both)))


class Net(nn.Module):
    SIZE_MULTIPLE: ClassVar[int] = 2
    LEAST_SIDE: ClassVar[int] = 2

    def __init__(self, _divisor: int) -> None:
        super().__init__()
        self.first, self.head, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), Stage()

    def forward(self, x: Tensor) -> Tensor:
        image = (x + self.head(self.first(x))).clamp(0.0, 1.0)
        return self.second(image) + F.max_pool2d(image, 2)


@dataclass(frozen=True)
class Entry(SeededNetwork):
    name: ClassVar[str] = "regions"
    module: ClassVar = Net

    def parts(self, graph: fx.Graph) -> dict[fx.Node, str]:
        parts = super().parts(graph)
        return {node: self._part(node) for node in parts}

    def _part(self, node: fx.Node) -> str:
        path = list(node.meta["nn_module_stack"].values())[-1][0]
        return "backbone" if path.startswith(("net.first", "net.second")) else "head"


def test_a_float_is_quantized_once_for_all_of_one_scale() -> None:
    """An image from 0 to 1 in steps of a byte, once for all functions of it, and once as what it is
    joined with."""
    network, random = Entry(), np.random.default_rng(0)
    photo = random.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    program = quantize_network(network, network.load(None), scheme_named("mixed"), [photo], 8, 8)
    nodes = {node.name: node for node in program.graph.nodes}
    quantized = [user for user in nodes["clamp"].users if user.target is QUANTIZE]
    scales = sorted({round(node.args[1] * 255, 3) for node in quantized})
    assert 1.0 in scales and len(quantized) <= 3
    # A tent is one table.
    for name in ("abs_1", "rsub", "sub"):
        assert all(user.target is not QUANTIZE for user in nodes[name].users), name
    # The zeros are put around int8 by the convolution.
    (pad,) = (
        n
        for n in nodes.values()
        if n.target is aten.pad.default and len(n.args[1]) == 4 and n.args[1] == [0, 1, 0, 1]
    )
    assert pad.args[0].target is DEQUANTIZE
    assert [user.target for user in pad.users] == [aten.conv2d.default]


class Gates(nn.Module):
    """What a sigmoid alone reads, and what another one reads, too."""

    SIZE_MULTIPLE: ClassVar[int] = 1
    LEAST_SIDE: ClassVar[int] = 1

    def __init__(self, _divisor: int) -> None:
        super().__init__()
        self.alone, self.shared, self.last = (nn.Conv2d(3, 3, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        shared = self.shared(x)
        return self.last(torch.sigmoid(self.alone(x)) + torch.sigmoid(shared) * shared)


@dataclass(frozen=True)
class GatesEntry(SeededNetwork):
    name: ClassVar[str] = "gates"
    module: ClassVar = Gates

    def load(self, checkpoint: Path | None) -> nn.Module:
        net = super().load(checkpoint)
        for conv in (net.alone, net.shared):
            conv.weight.data *= 100
        return net


def test_what_saturates_a_sigmoid_takes_no_part_of_its_range() -> None:
    network, random = GatesEntry(), np.random.default_rng(0)
    photo = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    program = quantize_network(network, network.load(None), scheme_named("int8"), [photo], 8, 8)
    read = [node for node in program.graph.nodes if node.target is aten.sigmoid.default]
    alone, shared = (node.args[0].args[1] for node in read)
    assert alone == pytest.approx((math.log(254.5 / 1.5) - math.log(0.5 / 255.5)) / 255, rel=0.01)
    assert shared > 4 * alone


def test_integers_are_left_as_they_are() -> None:
    """An int32 product of a user's network, beside floats."""

    class Counts(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            return a * a, a.float() * b

    graph = torch.export.export(Counts(), (torch.ones(2, dtype=torch.int32), torch.ones(2))).graph
    whole, mixed = (node for node in graph.nodes if node.target is aten.mul.Tensor)
    assert why_not_quantized(whole) == "it computes integers or bools, exactly"
    assert not why_not_quantized(mixed)
