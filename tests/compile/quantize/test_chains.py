"""A chain of functions of one tensor is quantized once, at its end, and shares are exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, fx, nn

from compile.networks.quantized_ops import QUANTIZE
from compile.networks.seeded_network import SeededNetwork
from compile.quantize.quantize import quantize_network
from compile.quantize.schemes import scheme_named

aten = torch.ops.aten


class Chains(nn.Module):
    """A mask, what it leaves of 1, and the logarithm of a square."""

    SIZE_MULTIPLE: ClassVar[int] = 1
    LEAST_SIDE: ClassVar[int] = 1

    def __init__(self, _divisor: int) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        mask = ((x.amax(1, keepdim=True) - 0.95) * 20).clamp(0.0, 1.0)
        y = torch.relu(self.backbone(x))
        light = (y * y + 1 / 255).log()
        return self.head((1.0 - mask) * light + mask * y)


@dataclass(frozen=True)
class ChainsEntry(SeededNetwork):
    name: ClassVar[str] = "chains"
    module: ClassVar = Chains


@dataclass(frozen=True)
class KnownEntry(ChainsEntry):
    @property
    def known_ranges(self) -> dict[str, tuple[float, int]]:
        return {"net.head": (0.5, 7)}


def quantization_of(node: fx.Node) -> tuple[float, int] | None:
    """Scale and zero point of what ``node`` computes, if it is quantized."""
    for user in node.users:
        if user.target is QUANTIZE:
            return user.args[1], user.args[2]
    return None


def test_only_ends_of_chains_are_quantized() -> None:
    network, photo = ChainsEntry(), np.full((256, 256, 3), 99, np.uint8)
    program = quantize_network(network, network.load(None), scheme_named("int8"), [photo], 16, 16)
    nodes = {
        node.name: quantization_of(node)
        for node in program.graph.nodes
        if node.op == "call_function" and node.target not in (QUANTIZE, aten.conv2d.default)
    }
    assert all(nodes[name] is None for name in ("sub", "mul", "mul_1", "add")), nodes
    assert nodes["log"] is not None
    # 0 and 1 are bytes.
    image = (float(torch.tensor(1 / 255)), -128)
    for name in ("amax", "clamp", "rsub"):
        found = nodes[name]
        assert found is not None
        assert found[1] == image[1] and np.isclose(found[0], image[0])


def test_network_says_the_range_of_a_convolution() -> None:
    network, photo = KnownEntry(), np.full((256, 256, 3), 99, np.uint8)
    program = quantize_network(network, network.load(None), scheme_named("int8"), [photo], 16, 16)
    (head,) = (n for n in program.graph.nodes if n.name == "conv2d_1")
    assert quantization_of(head) == (0.5, 7)
