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
    parts = parts_by_head(graph, "net", [])
    assert _named(parts, "backbone") == ["net.body.0:conv2d", "net.body.1:relu"]
    assert _named(parts, "head") == HEAD


def test_head_is_a_module_and_what_is_computed_from_it(graph: fx.Graph) -> None:
    parts = parts_by_head(graph, "net", ["net.shift"])
    assert _named(parts, "head") == ["net.shift:conv2d", "net:add", "net:sigmoid"]


def test_a_head_that_there_is_not(graph: fx.Graph) -> None:
    with pytest.raises(MqnetError, match="'tail': name one of body.0, body.1, scale, shift"):
        parts_by_head(graph, "net", ["net.tail", "net.shift"])


def test_backbone_is_a_module_and_the_head_the_rest(graph: fx.Graph) -> None:
    parts = parts_by_backbone(graph, "net.body")
    assert _named(parts, "backbone") == ["net.body.0:conv2d", "net.body.1:relu"]
    assert _named(parts, "head") == HEAD


class _Stages(nn.Module):
    """A light is computed twice, the second time from the first light, which is added again."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.ModuleDict({"body": nn.Conv2d(3, 4, 1), "tail": nn.Conv2d(4, 3, 1)})
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            y = torch.relu(stage["body"](torch.exp(x)))
            x = torch.relu(stage["tail"](y * 2.0) + x)
        return x


@pytest.fixture(scope="module")
def stages() -> fx.Graph:
    image = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    return torch.export.export(ExportWrapper(_Stages()).eval(), (image,)).graph


def test_behind_a_head_that_another_one_reads_a_backbone_begins(stages: fx.Graph) -> None:
    """At the next convolution: what is before it is float as what it reads."""
    heads = ["net.stages.0.tail", "net.stages.1.tail"]
    parts = parts_by_head(stages, "net", heads)
    body = ["net:relu", "net:mul"]
    assert _named(parts, "backbone") == [
        *("net:exp", "net.stages.0.body:conv2d", *body),
        *("net.stages.1.body:conv2d", *body),
    ]
    assert _named(parts, "head") == [
        *("net.stages.0.tail:conv2d", "net:add", "net:relu", "net:exp"),
        *("net.stages.1.tail:conv2d", "net:add", "net:relu"),
    ]
    assert parts_by_head(stages, "net", ["net.stages.*.tail"]) == parts_by_head(
        stages, "net", ["net.stages.0.tail"]
    )
    assert "net.stages.1.body:conv2d" in _named(parts_by_head(stages, "net", heads[:1]), "head")


def test_backbones_of_one_pattern(stages: fx.Graph) -> None:
    parts = parts_by_backbone(stages, "net.stages.*.body")
    assert _named(parts, "backbone") == ["net.stages.0.body:conv2d", "net.stages.1.body:conv2d"]


def test_what_is_in_float_is_in_neither(stages: fx.Graph) -> None:
    parts = parts_by_backbone(stages, "net.stages.*.body", "net.stages.1.*")
    assert _named(parts, "backbone") == ["net.stages.0.body:conv2d"]
    assert _named(parts, "float") == ["net.stages.1.body:conv2d", "net.stages.1.tail:conv2d"]
