"""Which part of a network an operation belongs to."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

from compile.networks.export_wrapper import ExportWrapper
from compile.networks.parts import module_path, parts_by_backbone, parts_by_head
from compile.support.errors import MqnetError


class _Net(nn.Module):
    """Two convolutions feed the output, a third one those two, and the image is added."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
        self.scale, self.shift = nn.Conv2d(4, 3, 1), nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return torch.sigmoid(self.scale(y) * x + self.shift(y))


@pytest.fixture(scope="module")
def graph() -> fx.Graph:
    image = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    return torch.export.export(ExportWrapper(_Net()).eval(), (image,)).graph


def _named(parts: dict[fx.Node, str], part: str) -> list[str]:
    return [
        f"{module_path(node)}:{node.target.__name__.split('.')[0]}"
        for node, each in parts.items()
        if each == part
    ]


HEAD = ["net.scale:conv2d", "net:mul", "net.shift:conv2d", "net:add", "net:sigmoid"]


def test_head_begins_at_the_last_convolutions(graph: fx.Graph) -> None:
    parts = parts_by_head(graph, "net", "")
    assert _named(parts, "backbone") == ["net.body.0:conv2d", "net.body.1:relu"]
    assert _named(parts, "head") == HEAD


def test_head_is_a_module_and_what_is_computed_from_it(graph: fx.Graph) -> None:
    parts = parts_by_head(graph, "net", "net.shift")
    assert _named(parts, "head") == ["net.shift:conv2d", "net:add", "net:sigmoid"]


def test_a_head_that_there_is_not(graph: fx.Graph) -> None:
    with pytest.raises(MqnetError, match="'tail': name one of body.0, body.1, scale, shift"):
        parts_by_head(graph, "net", "net.tail")


def test_backbone_is_a_module_and_the_head_the_rest(graph: fx.Graph) -> None:
    parts = parts_by_backbone(graph, "net.body")
    assert _named(parts, "backbone") == ["net.body.0:conv2d", "net.body.1:relu"]
    assert _named(parts, "head") == HEAD
